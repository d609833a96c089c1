/* One shard's database. */
#ifndef SHARD_TOOLS_VERIFY_DATABASE_H
#define SHARD_TOOLS_VERIFY_DATABASE_H

struct verify;

/* Looks at all of it in one moment, and at the files of its segments. Leaves it open in v->looks[], for cross-checks,
 * if it is of use. */
void verify_shard(struct verify *v, unsigned shard);

#endif
