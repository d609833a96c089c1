/* Taking over the names of streams that were there before {group} counted (common/layout.h). */
#ifndef SHARD_TOOLS_MOVE_NAMES_H
#define SHARD_TOOLS_MOVE_NAMES_H

struct config;
struct layout;
struct role;

/* Makes groups count, except in names of streams that are in another slot by the old rule, and saves the layout. While
 * no shard runs. If the layout cannot be saved, groups do not count until a later start has done it. */
void move_names(struct role *role, const struct config *cfg, struct layout *layout);

#endif
