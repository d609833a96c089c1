/* Rows that need a row of another database: forks and the pins that hold their sources, estuaries and their feeds. */
#ifndef SHARD_TOOLS_VERIFY_CROSS_CHECKS_H
#define SHARD_TOOLS_VERIFY_CROSS_CHECKS_H

struct verify;

/* After every database was looked at and is open. */
void verify_cross_checks(struct verify *v);

#endif
