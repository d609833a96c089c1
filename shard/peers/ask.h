/* Questions to other shards: who was asked what, under which number, and until when. A handler that needs something of
 * another shard embeds a struct ask, begins it, and goes on when the answer's handler finds it again. What is asked is
 * asked again when its shard has a new link, so every question must be one that can be asked twice. */
#ifndef SHARD_PEERS_ASK_H
#define SHARD_PEERS_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/list.h"
#include "common/table.h"

struct ask;
struct buf;
struct peers;

/* What all questions of one kind have in common. ctx is that of asks_init(). */
struct ask_kind {
    unsigned most; /* under way at once */
    bool writes;   /* giving up writes to the database: not while the disk takes nothing */

    /* Encodes the question, under ask->id. */
    void (*put)(const struct ask *ask, struct buf *out);
    /* Nobody has answered in time. The ask is over, and the owner's to free; so is it in drop(): the shard stops. */
    void (*expired)(void *ctx, struct ask *ask);
    void (*drop)(struct ask *ask);
};

/* Embedded in what waits. Not moved between ask_begin() and ask_end(). */
struct ask {
    struct list link; /* of asks->pending */
    struct table_node by_id;
    uint64_t id;          /* of the question that is under way; an answer to an earlier one has another */
    unsigned shard;       /* that is asked */
    uint64_t deadline_ms; /* in ticks */
};

/* The questions of one kind. */
struct asks {
    const struct ask_kind *kind;
    struct peers *peers;
    void *ctx;
    struct list pending; /* by deadline */
    struct table by_id;
    uint64_t last_id;
};

void asks_init(struct asks *asks, const struct ask_kind *kind, struct peers *peers, void *ctx);
void asks_clear(struct asks *asks);

/* No more can be asked now. */
bool asks_full(const struct asks *asks) MUSTUSE;

/* Asks a shard, now or when its link is up. The deadline is for all that is asked until ask_end(). */
void ask_begin(struct asks *asks, struct ask *ask, unsigned shard, uint64_t deadline_ms);

/* Asks something further, perhaps of another shard, under a new number. */
void ask_next(struct asks *asks, struct ask *ask, unsigned shard);

void ask_end(struct asks *asks, struct ask *ask);

/* The ask that waits for this answer; NULL: it is over since, or has gone on to another question. */
struct ask *ask_find(const struct asks *asks, uint64_t id, unsigned from);

/* A shard has a new link: what it was asked is asked again. */
void asks_shard_up(struct asks *asks, unsigned shard);

/* By the tick: gives up on those whose time is over. */
void asks_tick(struct asks *asks, uint64_t ticks_ms);

#endif
