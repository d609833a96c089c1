/* Files of segments. A file in the folder is opened as a reader would; an object in the store is fetched only with
 * --objects. A server may remove a file after its row was read, so a file that is wrong counts only if its row is still
 * there.
 *
 *     the file is in the folder (or the cache)    its size; without --quick its head, blocks and checksum, too
 *     only the object store has it                with --objects fetched and checked; otherwise counted as unread
 *     the cache has it damaged                    as if only the store had it: a server drops it and fetches it again
 *     neither                                     a problem, if the row is still there
 *
 * Failure modes: a file that cannot be opened or fetched is a problem of that segment; the next one is checked all the
 * same. */
#include "shard/tools/verify_files.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "shard/segments/object_s3.h"
#include "shard/tools/verify_context.h"
#include "shard/tools/verify_report.h"
#include "shard/tools/verify_rules.h"
#include "shard/store/store_look.h"
#include "shard/store/store_look_rows.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_stream.h"

#define AT_ONCE 256

void verify_files_begin(struct verify *v)
{
    v->base = event_base_new();
    if (!v->base)
        fatalx("cannot make an event loop");
    objects_init(&v->store, &v->cfg, v->base, NULL); /* it only reads: nothing is left to a worker */
    objects_know(&v->store);
}

void verify_files_end(struct verify *v)
{
    objects_clear(&v->store);
    event_base_free(v->base);
}

/* ---- one file ---- */

static const char *verify_files_read_whole(int fd, uint64_t size, struct buf *file)
{
    if (!file_read_at(fd, buf_reserve(file, (size_t)size), (size_t)size, 0))
        return errno ? "its file cannot be read" : "its file has another size";
    buf_grow(file, (size_t)size);
    return NULL;
}

static const char *verify_files_check_file(const struct verify *v, int fd, const struct segment_row *row, bool json)
{
    struct stat stat;
    struct buf file = {0};
    if (fstat(fd, &stat) != 0 || (uint64_t)stat.st_size != row->size)
        return "its file has another size";
    if (v->quick)
        return NULL;
    const char *why = verify_files_read_whole(fd, row->size, &file);
    if (!why)
        why = verify_segment_file(row, json, buf_slice(&file));
    buf_clear(&file);
    return why;
}

/* On the stack of verify_files_check_object(), which does not return before `over`, or the loop has ended. */
struct fetch {
    const struct segment_row *row;
    bool json, over;
    const char *why;
};

static void verify_files_on_got(void *ctx, enum error error, const char *failure, struct slice bytes)
{
    struct fetch *fetch = ctx;
    (void)failure; /* it is logged */
    fetch->over = true;
    fetch->why = error == ERR_SEGMENT_MISSING ? "its object is missing"
                 : error != ERR_NONE          ? "its object cannot be had"
                                              : verify_segment_file(fetch->row, fetch->json, bytes);
}

/* Waits in an event loop of its own: a command does one thing after the other. */
static const char *verify_files_check_object(struct verify *v, const struct segment_row *row, bool json)
{
    char name[OBJECT_NAME_MAX];
    struct fetch fetch = {.row = row, .json = json};
    if (!v->objects) {
        v->unread++;
        return NULL;
    }
    object_name(name, &row->object);
    s3_get(&v->store, name, row->size, verify_files_on_got, &fetch);
    while (!fetch.over && event_base_loop(v->base, EVLOOP_ONCE) == 0)
        ;
    return fetch.over ? fetch.why : "its object cannot be had";
}

static const char *verify_files_check_segment(struct verify *v, const struct segment_row *row, bool json)
{
    bool cached;
    int fd = objects_open(&v->store, &row->object, &cached);
    if (fd < 0 && errno == ENOENT && v->store.away)
        return verify_files_check_object(v, row, json);
    if (fd < 0)
        return errno == ENOENT   ? "its file is missing"
               : errno == ESTALE ? "segment.directory is not this server's, and its file is not there"
                                 : "its file cannot be opened";
    const char *why = verify_files_check_file(v, fd, row, json);
    close(fd);
    return why && cached ? verify_files_check_object(v, row, json) : why;
}

/* ---- a shard's ---- */

static void verify_files_verify_segment(struct verify *v, struct store_look *look, const struct segment_row *row)
{
    struct stream_row stream = {0};
    char name[OBJECT_NAME_MAX];
    bool there = store_look_stream_at(look, row->object.uid, &stream);
    bool json = stream_row_is_json(&stream);
    store_look_release(look);
    const char *why = verify_files_check_segment(v, row, json);
    /* A running server may have dropped the segment meanwhile. */
    if (!why || !there || !store_look_segment_there(look, &row->object))
        return;
    object_name(name, &row->object);
    if (store_look_stream_at(look, row->object.uid, &stream))
        v->name = stream.name;
    v->uid = row->object.uid;
    verify_problem(v, "the segment at %" PRIu64 ", %s: %s", row->object.start, name, why);
    v->name = (struct slice){0};
    v->uid = 0;
    store_look_release(look);
}

/* Rows are taken some at a time, each batch of a later moment: files may take long, and a read transaction that is held
 * keeps the server's WAL from beginning anew. */
void verify_files(struct verify *v, unsigned shard)
{
    struct segment_row rows[AT_ONCE];
    struct object after = {0};
    size_t count;
    while ((count = store_look_segments_after(v->looks[shard], &after, rows, AT_ONCE)) > 0) {
        for (size_t i = 0; i < count; i++)
            verify_files_verify_segment(v, v->looks[shard], &rows[i]);
        after = rows[count - 1].object;
    }
}
