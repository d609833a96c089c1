/* A cold read waits for its segment:
 *
 *     reading               look: needs segment X      fetch_segment(X, wait)
 *        |------------------------------------------->  X on its way (one request, however many wait)
 *        |                                                   |  AHEAD segments behind X follow unasked
 *     suspended                                              v
 *        |                              objects_fetch(): request, check, into the cache
 *        |                                                   |
 *        |<------- resume(): looks again -------  there, or failed
 *     answers, waits again, or fails
 *
 * Happy path: the segment is in the cache when the wait is resumed, and the new look finds it.
 *
 * Failure modes: A fetch that failed is remembered for FAILED_MS, so that the look after resume() finds the error, and
 * a client that repeats its request does not make the shard repeat the request to the store. A segment that was deleted
 * or merged meanwhile is taken out of the cache again; the new look finds what took its place. A file that the cache
 * lost between arrival and look is fetched once more. Too many fetches or waits: the reading fails at once, with
 * SEGMENT_UNAVAILABLE. The shard stops: resume() is called without a ctx. */
#include "shard/segments/fetch.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "shard/segments/objects.h"

#define AHEAD 3        /* segments behind the one that is needed */
#define AHEAD_MAX 8    /* none ahead while so many are on their way */
#define FAILED_MS 1000 /* a failure is remembered for so long */

struct segment_fetch {
    struct list link, waits;
    struct fetches *fetches;
    struct object object;
};

void fetches_init(struct fetches *fetches, struct store *store, struct objects *objects, void (*wake)(void *ctx),
                  void *ctx)
{
    *fetches = (struct fetches){.store = store, .objects = objects, .wake = wake, .ctx = ctx};
    list_init(&fetches->under_way);
}

void fetches_stop(struct fetches *fetches)
{
    fetches->stopped = true;
}

static struct segment_fetch *fetch_find(const struct fetches *fetches, const struct object *object)
{
    LIST_EACH(link, &fetches->under_way)
    {
        struct segment_fetch *fetch = LIST_OWNER(link, struct segment_fetch, link);
        if (object_same(&fetch->object, object))
            return fetch;
    }
    return NULL;
}

static void fetch_note_failure(struct fetches *fetches, const struct object *object, enum error error)
{
    fetches->last_failure = (fetches->last_failure + 1) % FETCH_FAILURES_MAX;
    fetches->failures[fetches->last_failure] = (struct fetch_failure){*object, error, clock_monotonic_ms() + FAILED_MS};
}

enum error fetch_failed(const struct fetches *fetches, const struct object *object)
{
    uint64_t now = clock_monotonic_ms();
    for (size_t i = 0; i < FETCH_FAILURES_MAX; i++)
        if (fetches->failures[i].until_ms > now && object_same(&fetches->failures[i].object, object))
            return fetches->failures[i].error;
    return ERR_NONE;
}

/* In the order in which they came. One that needs the segment again begins a new fetch, so the list is emptied first.
 */
static void fetch_resume_waits(struct fetches *fetches, struct list *waits)
{
    struct list *link;
    bool any = !list_empty(waits);
    while ((link = list_pop(waits))) {
        struct fetch_wait *wait = LIST_OWNER(link, struct fetch_wait, link);
        fetches->waits--;
        wait->resume(wait, fetches->stopped ? NULL : fetches->ctx);
    }
    if (any && !fetches->stopped)
        fetches->wake(fetches->ctx);
}

static void fetch_on_done(void *ctx, enum error error)
{
    struct segment_fetch *fetch = ctx;
    struct fetches *fetches = fetch->fetches;
    struct segment_row row;
    list_remove(&fetch->link);
    fetches->count--;
    if (error != ERR_NONE)
        fetch_note_failure(fetches, &fetch->object, error);
    if (!store_segment(fetches->store, fetch->object.uid, fetch->object.start, &row) ||
        !object_same(&row.object, &fetch->object))
        objects_uncache(fetches->objects, &fetch->object); /* it was deleted or merged meanwhile */
    fetch_resume_waits(fetches, &fetch->waits);
    free(fetch);
}

/* NULL: too many are on their way. */
static struct segment_fetch *fetch_begin(struct fetches *fetches, const struct segment_row *row)
{
    if (fetches->count >= FETCHES_MAX)
        return NULL;
    struct segment_fetch *fetch = xcalloc(1, sizeof *fetch);
    fetch->fetches = fetches;
    fetch->object = row->object;
    list_init(&fetch->waits);
    list_add_last(&fetches->under_way, &fetch->link);
    fetches->count++;
    objects_fetch(fetches->objects, row, fetch_on_done, fetch);
    return fetch;
}

/* A reader of this segment wants the following ones next. */
static void fetch_ahead(struct fetches *fetches, const struct segment_row *row)
{
    struct segment_row next = *row;
    bool cached;
    for (unsigned i = 0; i < AHEAD && fetches->count < AHEAD_MAX; i++) {
        uint64_t end = next.end;
        if (!store_segment(fetches->store, row->object.uid, end, &next) || next.object.start != end)
            return;
        int fd = objects_open(fetches->objects, &next.object, &cached);
        if (fd >= 0)
            close(fd);
        else if (!fetch_find(fetches, &next.object))
            (void)fetch_begin(fetches, &next);
    }
}

bool fetch_segment(struct fetches *fetches, const struct object *object, struct fetch_wait *wait)
{
    struct segment_row row;
    struct segment_fetch *fetch = fetch_find(fetches, object);
    if (!fetch) {
        if (!store_segment(fetches->store, object->uid, object->start, &row) || !object_same(&row.object, object))
            return false;
        fetch = fetch_begin(fetches, &row);
        if (!fetch)
            return false;
        fetch_ahead(fetches, &row);
    }
    if (!wait)
        return true;
    if (fetches->waits >= FETCH_WAITS_MAX)
        return false;
    list_add_last(&fetch->waits, &wait->link);
    fetches->waits++;
    return true;
}

void fetch_cancel(struct fetches *fetches, struct fetch_wait *wait)
{
    list_remove(&wait->link);
    fetches->waits--;
}
