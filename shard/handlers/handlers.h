/* What a shard does for each message: one handler a message of wire.def, each in the file that is named after it. */
#ifndef SHARD_HANDLERS_HANDLERS_H
#define SHARD_HANDLERS_HANDLERS_H

#include "shard/shard.h"

/* From routers. Answers go into the asker's out buffer, in this turn or a later one. */
void on_create(struct shard *shard, struct asker asker, const struct wire_create *m);           /* create.c */
void on_append(struct shard *shard, struct asker asker, const struct wire_append *m);           /* append.c */
void on_read(struct shard *shard, struct asker asker, const struct wire_read *m);               /* read.c */
void on_head(struct shard *shard, struct asker asker, const struct wire_head *m);               /* read.c */
void on_list(struct shard *shard, struct asker asker, const struct wire_list *m);               /* list.c */
void on_show(struct shard *shard, struct asker asker, const struct wire_show *m);               /* show.c */
void on_delete(struct shard *shard, struct asker asker, const struct wire_delete *m);           /* delete.c */
void on_unwatch(struct shard *shard, struct asker asker, const struct wire_unwatch *m);         /* watch.c */
void on_watch_usage(struct shard *shard, struct asker asker, const struct wire_watch_usage *m); /* usage.c */
void on_subscribe(struct shard *shard, struct asker asker, const struct wire_subscribe *m);     /* subscribe.c */
void on_estuary(struct shard *shard, struct asker asker, const struct wire_estuary *m);         /* subscribe.c */

/* From shards, this one included. */
void on_pin(struct shard *shard, unsigned from, const struct wire_pin *m);                 /* fork.c */
void on_pinned(struct shard *shard, unsigned from, const struct wire_pinned *m);           /* fork.c */
void on_boundary(struct shard *shard, unsigned from, const struct wire_boundary *m);       /* fork.c */
void on_bounded(struct shard *shard, unsigned from, const struct wire_bounded *m);         /* fork.c */
void on_unpin(struct shard *shard, unsigned from, const struct wire_unpin *m);             /* fork.c */
void on_unpinned(struct shard *shard, unsigned from, const struct wire_unpinned *m);       /* fork.c */
void on_probe(struct shard *shard, unsigned from, const struct wire_probe *m);             /* fork.c */
void on_probed(struct shard *shard, unsigned from, const struct wire_probed *m);           /* fork.c */
void on_fetch(struct shard *shard, unsigned from, const struct wire_fetch *m);             /* read.c */
void on_fetched(struct shard *shard, unsigned from, const struct wire_fetched *m);         /* read.c */
void on_attach(struct shard *shard, unsigned from, const struct wire_attach *m);           /* feed.c */
void on_subscribers(struct shard *shard, unsigned from, const struct wire_subscribers *m); /* feed.c */
void on_taken(struct shard *shard, unsigned from, const struct wire_taken *m);             /* feed.c */
void on_deliver(struct shard *shard, unsigned from, const struct wire_deliver *m);         /* estuary.c */
void on_wanted(struct shard *shard, unsigned from, const struct wire_wanted *m);           /* estuary.c */
void on_ended(struct shard *shard, unsigned from, const struct wire_ended *m);             /* estuary.c */
void on_attached(struct shard *shard, unsigned from, const struct wire_attached *m);       /* subscribe.c */
void on_sources(struct shard *shard, unsigned from, const struct wire_sources *m);         /* subscribe.c */
void on_sourced(struct shard *shard, unsigned from, const struct wire_sourced *m);         /* subscribe.c */

#endif
