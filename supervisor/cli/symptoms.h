/* Rules that find in the numbers what is slow or wrong, and why. */
#ifndef SUPERVISOR_CLI_SYMPTOMS_H
#define SUPERVISOR_CLI_SYMPTOMS_H

#include <stdio.h>

#include "common/config.h"
#include "supervisor/cli/sample.h"

/* A line for each, "  shard/2: …". grown: what has come since grown->time_ms ago. Returns how many. */
unsigned symptoms_write(FILE *out, const struct metrics_region *region, const struct sample *grown,
                        const struct config *cfg);

#endif
