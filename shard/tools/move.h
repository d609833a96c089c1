/* Moving slots between the shards' databases when shard.count has changed; and at the first start with data of a
 * version that knew no {group} in names, taking over the names (move_names.h). Runs as a process of its own while no
 * shard does.
 *
 * For each slot that must move: copy it into its new shard's file (one durable transaction that first deletes what an
 * interrupted copy left), name the new owner in the layout (an atomic replacement: this is the switch), delete it from
 * the old file. Whatever step a kill hits, the layout says which copy counts; the next start deletes the others and
 * goes on. The layout's own shard count is set last, so an unfinished move is seen. */
#ifndef SHARD_TOOLS_MOVE_H
#define SHARD_TOOLS_MOVE_H

int move_main(int argc, char **argv);

#endif
