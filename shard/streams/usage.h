/* The usage of each project in this shard, and which routers want to hear of it. In memory are the projects of streams
 * that are in memory, and those that somebody watches; the store has what is flushed (table usage, kept by triggers).
 */
#ifndef SHARD_STREAMS_USAGE_H
#define SHARD_STREAMS_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "common/table.h"

struct shard;
struct store;
struct usage_watch;

struct usage {
    uint64_t streams; /* that have not been deleted */
    uint64_t bytes;   /* of messages, as they are stored; those of a stream that forks still hold too */
    char *project;
    size_t project_len;
    size_t refs;               /* streams in memory */
    struct usage_watch *watch; /* NULL: nobody wants to hear */
    struct table_node by_project;
    struct usage *changed_next;
    bool changed;
};

struct usages {
    struct store *store;
    struct table table;
    uint64_t streams, bytes; /* of all projects */
    struct usage *changed;   /* watched ones, since routers last got a USAGE */
};

void usages_init(struct usages *usages, struct store *store);
void usages_clear(struct usages *usages);

/* The usage of a stream's project, for as long as the stream is in memory. */
struct usage *usage_ref(struct usages *usages, struct slice name);
void usage_unref(struct usages *usages, struct usage *usage);

/* Adds to it, or takes away. */
void usage_add(struct usages *usages, struct usage *usage, int64_t streams, int64_t bytes);

/* An append was asked for by this router. */
void usage_appended(struct usages *usages, struct usage *usage, unsigned router);

/* Everything that has changed in this turn goes to the routers that watch it. */
void usage_notify_all(struct shard *shard);
void usage_router_gone(struct shard *shard, unsigned router);

#endif
