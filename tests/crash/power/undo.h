/* Undo logs of the files below one folder, and the orders of the test (undo.c). */
#ifndef CRASH_POWER_UNDO_H
#define CRASH_POWER_UNDO_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define UNDO_PATH_MAX (PATH_MAX + NAME_MAX + 32)

/* Where a path leads: the descriptor of its folder, the name there, and the whole path without symbolic links before
 * the name. */
struct undo_place {
    int folder;
    ino_t ino;
    char name[NAME_MAX + 1];
    char path[UNDO_PATH_MAX];
};

/* False: the path is not below the folder, and nothing has to be closed. */
bool undo_place_open(struct undo_place *place, int dir, const char *path);
void undo_place_close(struct undo_place *place);
bool undo_place_exists(const struct undo_place *place);

/* Whether a descriptor is a file or a folder that has a log. */
bool undo_covers(int fd, struct stat *stat, char path[UNDO_PATH_MAX]);

/* The log of a file or folder, locked against all other threads and processes until undo_close(). */
int undo_open(ino_t ino);
void undo_close(int log);
off_t undo_end(int log);

/* Bytes from..from+len are about to be written; the file has `size` and will have `after`. fd can read. */
void undo_write(int log, int fd, off_t from, size_t len, off_t size, off_t after);

/* The file is about to be shortened to `after`. */
void undo_cut(int log, int fd, off_t size, off_t after);

/* Names of a folder are about to change: `one`, and `two` unless it is NULL. */
void undo_names(int log, const struct undo_place *one, const struct undo_place *two);

/* Records before `upto` are on the disk; or an fsync has failed, and a later one does not bring them there. */
void undo_synced(int log, ino_t ino, off_t upto);
void undo_failed(int log, ino_t ino, off_t upto);

/* ---- orders ---- */

enum order { ORDER_NONE, ORDER_EIO, ORDER_ENOSPC, ORDER_SHORT, ORDER_LIE };

/* The test's order for this kind of call on this path; ORDER_EIO and ORDER_ENOSPC have set errno. An order to switch
 * off never returns. */
enum order undo_order(const char *kind, const char *path);
bool undo_order_fails(const char *kind, const char *path);

void undo_die(const char *what, const char *path) __attribute__((noreturn));

#endif
