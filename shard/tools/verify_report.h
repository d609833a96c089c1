/* The lines that `streamd verify` prints. */
#ifndef SHARD_TOOLS_VERIFY_REPORT_H
#define SHARD_TOOLS_VERIFY_REPORT_H

#include "common/attr.h"

struct verify;

/* Prints a line for a problem of what is being looked at, unless there were many already. */
void verify_problem(struct verify *v, const char *format, ...) PRINTF(2, 3);
/* The same for visitors of store_look_checks.h; ctx is the struct verify. */
void verify_problem_text(void *ctx, const char *text);
/* The last lines. */
void verify_conclude(const struct verify *v);

#endif
