/* The shard's helping hand: a thread for work that takes long and needs nothing of the shard, such as compressing or
 * waiting for a disk. One piece after the other. */
#ifndef SHARD_SEGMENTS_WORKER_H
#define SHARD_SEGMENTS_WORKER_H

#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>

/* A piece of work; whoever asks for it embeds it and keeps it until done() was called. */
struct work {
    struct work *next;
    void (*run)(struct work *work);             /* in the thread */
    void (*done)(struct work *work, void *ctx); /* afterwards, in a turn; ctx is NULL if the worker ends before that */
};

struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct work *first, **end;           /* to do */
    struct work *done_first, **done_end; /* done and not taken yet */
    bool started, stopping;
    int wake; /* an eventfd: the loop is woken when something is done */
    struct event *woken;
};

/* The thread starts with the first piece of work. Ends the process if it cannot. */
void worker_init(struct worker *worker, struct event_base *base);

/* Waits for the piece that is being worked on; done() is called of all, without a ctx. */
void worker_clear(struct worker *worker);

void worker_put(struct worker *worker, struct work *work);

/* Calls done() of what has been done. */
void worker_take(struct worker *worker, void *ctx);

#endif
