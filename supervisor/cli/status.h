/* `streamd status`: how the server is, in columns for a terminal, from what every process counts (common/metrics.h);
 * and what is slow, and why (supervisor/cli/symptoms.h). Rates and times are of the last ten seconds or somewhat more.
 */
#ifndef SUPERVISOR_CLI_STATUS_H
#define SUPERVISOR_CLI_STATUS_H

#include <stdint.h>
#include <stdio.h>

#include "common/config.h"
#include "supervisor/cli/sample.h"

struct status {
    const struct metrics_region *region;
    const struct config *cfg;
    struct sample *samples[2]; /* the older one first */
    uint64_t next_ms;
    char *text; /* of the last answer */
};

/* now_ms: monotonic, here and below. */
void status_open(struct status *status, const struct metrics_region *region, const struct config *cfg, uint64_t now_ms);
void status_close(struct status *status);

/* Every turn: remembers how it is now, every ten seconds. */
void status_turn(struct status *status, uint64_t now_ms);

/* The text, with "ok " before it; borrowed until the next call. */
const char *status_say(struct status *status, uint64_t now_ms);

#endif
