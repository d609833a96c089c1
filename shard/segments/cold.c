#include "shard/segments/cold.h"

#include <stdlib.h>

#include "common/mem.h"
#include "shard/shard.h"
#include "shard/store/store_segment.h"

#define WAITS_MAX 4096

struct cold_wait {
    struct cold_wait *next;
    struct object object;
    bool router;
    unsigned index, generation;  /* of who sent it */
    uint64_t timed_id, taken_us; /* as in struct peer */
    struct buf frame;
};

static struct cold_wait *cold_add(struct shard *shard, bool router, unsigned index, unsigned generation)
{
    const struct object *awaited = &shard->streams.segments.awaited;
    struct cold_wait **at = &shard->cold_waits;
    if (!awaited->uid || shard->cold_wait_count >= WAITS_MAX)
        return NULL;
    struct cold_wait *wait = xcalloc(1, sizeof *wait);
    *wait = (struct cold_wait){.object = *awaited, .router = router, .index = index, .generation = generation};
    while (*at)
        at = &(*at)->next;
    *at = wait;
    shard->cold_wait_count++;
    return wait;
}

struct buf *cold_wait_router(struct shard *shard, struct asker asker)
{
    struct cold_wait *wait = cold_add(shard, true, asker.router, asker.generation);
    if (!wait)
        return NULL;
    wait->timed_id = asker.id;
    wait->taken_us = asker.taken_us;
    return &wait->frame;
}

struct buf *cold_wait_shard(struct shard *shard, unsigned from)
{
    struct cold_wait *wait = cold_add(shard, false, from, shard->peers.shards[from].generation);
    return wait ? &wait->frame : NULL;
}

static void cold_forget(struct shard *shard, struct cold_wait *wait)
{
    buf_clear(&wait->frame);
    shard->cold_wait_count--;
    free(wait);
}

/* What is taken again may have to wait again, behind all others. */
void cold_arrived(void *ctx, const struct object *object)
{
    struct shard *shard = ctx;
    struct cold_wait *all = shard->cold_waits, **keep = &shard->cold_waits;
    if (shard->stopping)
        return;
    shard->cold_waits = NULL;
    for (struct cold_wait *wait = all, *next; wait; wait = next) {
        next = wait->next;
        wait->next = NULL;
        if (wait->object.uid != object->uid || wait->object.start != object->start) {
            while (*keep)
                keep = &(*keep)->next;
            *keep = wait;
            continue;
        }
        const struct peer *peers = wait->router ? shard->peers.routers : shard->peers.shards;
        if (wait->router)
            peers_time(&shard->peers, wait->index, wait->timed_id, wait->taken_us);
        if (peers[wait->index].generation == wait->generation)
            shard->retake(shard, wait->router, wait->index, buf_slice(&wait->frame));
        cold_forget(shard, wait);
    }
    shard->turn_again = true;
}

void cold_clear(struct shard *shard)
{
    while (shard->cold_waits) {
        struct cold_wait *wait = shard->cold_waits;
        shard->cold_waits = wait->next;
        cold_forget(shard, wait);
    }
}
