/* Files of the journal: PATH.journal-0, -1 and so on beside the database. A commit that has nothing but appends goes
 * there: one write and one fdatasync, without a transaction. Every other commit is a transaction, and its batches are
 * rows (journal.c). A batch has a number of its own in both, so that recovery reads them as one journal. */
#ifndef SHARD_STORE_JOURNAL_FILE_H
#define SHARD_STORE_JOURNAL_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

#define JOURNAL_FILES_MAX 64

struct batch;

struct journal_file {
    int fd;
    uint64_t end, check; /* of the newest commit: the next one begins there, and with that checksum */
    int64_t first, last; /* the oldest and the newest batch in it; 0: none */
    bool filled;         /* it has all its blocks */
};

struct journal_files {
    const char *path; /* of the database; borrowed */
    uint64_t mark;    /* a random number that the database has: its records begin with it */
    struct journal_file files[JOURNAL_FILES_MAX];
    unsigned count, current;
    bool read_only;
    uint64_t synced_us; /* for how long fdatasync was waited, since somebody looked */
};

/* Opens those that are there, for this process alone: waits for a predecessor that is not quite gone, and ends the
 * process if it stays. Ends it for good if a file is damaged; batches up to `dropped` do not count. */
void journal_files_open(struct journal_files *files, const char *path, uint64_t mark, int64_t dropped);
/* The same for one who only looks, beside the server. False: a file is damaged or cannot be read. */
bool journal_files_look(struct journal_files *files, const char *path, uint64_t mark, int64_t dropped) MUSTUSE;
void journal_files_close(struct journal_files *files);
/* Removes all of a database that is gone. */
void journal_files_remove(const char *path);

/* The newest batch in any of them, 0 if there is none. */
int64_t journal_files_last(const struct journal_files *files);

/* Whether the next commit may begin in the file that the last one is in. */
bool journal_files_have_room(const struct journal_files *files);
/* If not: goes on with a file of which all is dropped, up to batch `dropped`, for good, or makes one. False: there are
 * JOURNAL_FILES_MAX already, or the disk has no room. */
bool journal_files_next(struct journal_files *files, int64_t dropped) MUSTUSE;

/* Whether there are files of which all is dropped; gives their blocks back to the disk. */
bool journal_files_have_dropped(const struct journal_files *files, int64_t dropped);
void journal_files_give_back(struct journal_files *files, int64_t dropped);

/* Writes a commit, a list of batches, where there is room, and waits until the disk has it. False: the disk has
 * no room, and nothing was written. Any other failure ends the process. */
bool journal_files_put(struct journal_files *files, const struct batch *batches) MUSTUSE;

/* Batches in the order of their numbers. A batch is valid until the next one is asked for. */
struct journal_cursor {
    const struct journal_files *files;
    int64_t after;    /* the number of the last one */
    struct buf room;  /* a file */
    uint64_t at, end; /* in it: the next record, and where its last commit ends */
    uint64_t time_ms;
    struct slice heads, data;
};

/* Begins behind batch `after`. */
void journal_cursor_begin(struct journal_cursor *cursor, const struct journal_files *files, int64_t after);
/* The number of the next batch, or 0 behind the last one. */
int64_t journal_cursor_next(struct journal_cursor *cursor);
void journal_cursor_end(struct journal_cursor *cursor);

#endif
