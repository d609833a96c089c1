/* Three small texts keep a wrong or unmounted store from being taken for an empty one:
 *
 *     server.data_dir/owner           "streamd " and 32 hex digits: this server's text, made once
 *     STORE/owner                     the same text, in every store that this server uses
 *     server.data_dir/owner.folder    where the folder is that has the text (owner.bucket: the bucket)
 *
 * What a folder is, in the order of owner_has():
 *
 *     its owner is our text                            ours
 *     its owner is another text                        of another server: refused
 *     no owner, but owner.folder exists                not mounted, or moved: refused
 *     no owner, and none of the known segments in it   not mounted either: refused (only without S3)
 *     no owner, otherwise                              new: ours, and marked if the caller wants that
 *
 * Failure modes: server.data_dir/owner is damaged or unreadable: the process ends for good, because a new text would
 * disown every store. The disk is too full to make it: the server runs and believes every store, and the log says so.
 */
#include "shard/segments/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/file.h"
#include "common/owned.h"
#include "shard/segments/object_path.h"

#define PATH_ROOM 4300
#define BEGINS "streamd "
#define RANDOM_BYTES 16

/* ---- small files ---- */

/* Reads what fits; false: errno is set. O_NONBLOCK: a pipe in place of the file must not stop the process. */
static bool owner_read_file(const char *folder, const char *name, char *text, size_t room)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, room - 1);
    text[len < 0 ? 0 : len] = '\0';
    int error = errno;
    close(fd);
    errno = error;
    return len >= 0;
}

/* Writes a file that is there as a whole or not at all: a temporary one, fsync, the final name, fsync of the folder.
 * replace: an earlier file is replaced. Without it the first of several shards wins, because link() fails if the name
 * exists; that counts as success, and the caller reads the winner's text. */
static bool owner_write_file(const char *folder, const char *name, const char *text, bool replace)
{
    char path[PATH_ROOM], temporary[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(temporary, sizeof temporary, "%s/%s.%d", folder, name, (int)getpid());
    int fd = owned_open(AT_FDCWD, temporary, O_WRONLY | O_TRUNC);
    if (fd < 0)
        return false;
    bool good = write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fsync(fd) == 0;
    close(fd);
    if (good && replace)
        good = rename(temporary, path) == 0;
    else if (good)
        good = link(temporary, path) == 0 || errno == EEXIST;
    int error = errno;
    unlink(temporary);
    errno = error;
    return good && file_sync_folder(folder);
}

/* ---- this server ---- */

static bool owner_is_text(const char *text)
{
    const char *digits = text + sizeof BEGINS - 1;
    return strncmp(text, BEGINS, sizeof BEGINS - 1) == 0 &&
           strspn(digits, "0123456789abcdef") == 2 * (size_t)RANDOM_BYTES &&
           strcmp(digits + 2 * (size_t)RANDOM_BYTES, "\n") == 0;
}

static void owner_make_text(char text[OWNER_TEXT_MAX])
{
    unsigned char random[RANDOM_BYTES];
    size_t len = sizeof BEGINS - 1;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        fatal("getrandom");
    strcpy(text, BEGINS);
    for (size_t i = 0; i < sizeof random; i++, len += 2)
        snprintf(text + len, OWNER_TEXT_MAX - len, "%02x", random[i]);
    text[len] = '\n';
    text[len + 1] = '\0';
}

/* Makes the text, or takes that of another shard which was first. A full disk does not keep a shard from starting. */
static void owner_make_owner(struct owner *owner)
{
    owner_make_text(owner->text);
    if (owner_write_file(owner->data_dir, OWNER_NAME, owner->text, false) &&
        owner_read_file(owner->data_dir, OWNER_NAME, owner->text, sizeof owner->text))
        return;
    log_error("%s/" OWNER_NAME ": %s; stores of segments are assumed to be this server's", owner->data_dir,
              strerror(errno));
    *owner->text = '\0';
}

void owner_open(struct owner *owner, const char *data_dir, bool make)
{
    owner->data_dir = data_dir;
    bool there = owner_read_file(data_dir, OWNER_NAME, owner->text, sizeof owner->text);
    if (!there && errno == ENOENT && make)
        owner_make_owner(owner);
    else if (!there && make)
        fatal_never_restart("%s/" OWNER_NAME ": %s", data_dir, strerror(errno));
    if ((there || *owner->text) && !owner_is_text(owner->text))
        fatal_never_restart("%s/" OWNER_NAME " is damaged: expected \"" BEGINS
                            "\" and %d hexadecimal digits; a store that"
                            " this server has used has a copy of it",
                            data_dir, 2 * RANDOM_BYTES);
}

bool owner_take(const char *data_dir, struct slice text)
{
    char copy[OWNER_TEXT_MAX];
    snprintf(copy, sizeof copy, "%.*s", (int)text.len, text.data ? text.data : "");
    errno = EINVAL;
    return owner_is_text(copy) && owner_write_file(data_dir, OWNER_NAME, copy, true);
}

/* ---- notes of marked stores ---- */

static const char *owner_note_of(enum owner_kind kind)
{
    return kind == OWNER_FOLDER ? "owner.folder" : "owner.bucket";
}

bool owner_marked(const struct owner *owner, enum owner_kind kind, char where[OWNER_WHERE_MAX])
{
    *where = '\0';
    /* A note that exists and cannot be read still says that there is a marked store. */
    bool marked = owner_read_file(owner->data_dir, owner_note_of(kind), where, OWNER_WHERE_MAX) || errno != ENOENT;
    where[strcspn(where, "\n")] = '\0';
    return marked;
}

bool owner_note(const struct owner *owner, enum owner_kind kind, const char *where)
{
    char text[OWNER_WHERE_MAX];
    snprintf(text, sizeof text, "%.*s\n", (int)sizeof text - 2, where);
    return owner_write_file(owner->data_dir, owner_note_of(kind), text, true);
}

/* ---- a folder ---- */

bool owner_knows(const struct owner *owner, const char *folder)
{
    for (size_t i = 0; i < owner->count; i++) {
        int fd = object_path_open(folder, &owner->samples[i].object);
        if (fd >= 0) {
            close(fd);
            return true;
        }
    }
    return false;
}

/* Marks the folder first and notes it second. A crash in between leaves a folder with our text, which owner_has() takes
 * for ours, and the note is made with the next file that is put. */
static bool owner_mark_folder(const struct owner *owner, const char *folder, char why[OWNER_WHY_MAX])
{
    if ((owned_mkdir(AT_FDCWD, folder) == 0 || errno == EEXIST) && file_sync_parent(folder) &&
        owner_write_file(folder, OWNER_NAME, owner->text, true)) {
        (void)!owner_note(owner, OWNER_FOLDER, folder);
        return true;
    }
    snprintf(why, OWNER_WHY_MAX, "segment.directory: %s/" OWNER_NAME ": %s", folder, strerror(errno));
    return false;
}

/* Whether a folder without an owner may get one. `where`: the place of the folder that was marked, if one was. */
static bool owner_is_new(const struct owner *owner, const char *folder, bool marked, const char *where,
                         char why[OWNER_WHY_MAX])
{
    if (marked)
        snprintf(why, OWNER_WHY_MAX,
                 "segment.directory: %s has no file " OWNER_NAME ": its volume is not mounted, or the segments are"
                 " elsewhere (they were in %s)",
                 folder, where);
    else if (owner->alone && owner->count && !owner_knows(owner, folder))
        snprintf(why, OWNER_WHY_MAX,
                 "segment.directory: %s has none of the segments that the databases know: its volume is not mounted, or"
                 " they are elsewhere",
                 folder);
    else
        return true;
    return false;
}

/* The note is read before the folder: another shard may mark the folder and then make its note in between. */
bool owner_has(const struct owner *owner, const char *folder, bool mark, char why[OWNER_WHY_MAX])
{
    char where[OWNER_WHERE_MAX], text[OWNER_TEXT_MAX];
    if (!*owner->text)
        return true;
    if (!mark && owner->alone && owner_marked(owner, OWNER_BUCKET, where)) { /* a file that is not here may be there */
        snprintf(why, OWNER_WHY_MAX, "s3.bucket is empty, and there are segments in %s", where);
        return false;
    }
    bool marked = owner_marked(owner, OWNER_FOLDER, where);
    if (owner_read_file(folder, OWNER_NAME, text, sizeof text)) {
        if (strcmp(text, owner->text) == 0)
            return !mark || marked || owner_mark_folder(owner, folder, why);
        snprintf(why, OWNER_WHY_MAX, "segment.directory: %s has the file " OWNER_NAME " of another server", folder);
        return false;
    }
    if (errno != ENOENT && errno != ENOTDIR) {
        snprintf(why, OWNER_WHY_MAX, "segment.directory: %s/" OWNER_NAME ": %s", folder, strerror(errno));
        return false;
    }
    return owner_is_new(owner, folder, marked, where, why) && (!mark || owner_mark_folder(owner, folder, why));
}
