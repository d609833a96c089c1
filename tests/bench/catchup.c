/* catchup: gets one URL again and again, or (--walk) reads the stream behind it page by page. */
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "tests/bench/clock.h"
#include "tests/bench/modes.h"
#include "tests/bench/pump.h"

/* One connection: what it asks for next. */
struct walker {
    char query[ANSWER_VALUE + 16]; /* --walk: the page; "": the first */
    char headers[ANSWER_VALUE + 32];
};

struct catchup {
    const struct options *options;
    struct target target;
    struct walker *walkers;
    uint64_t unexpected; /* --conditional: answers after the first that were not 304 */
    uint64_t ends;       /* --walk: how often the end was reached */
};

static bool next(void *ctx, unsigned connection, struct buf *out)
{
    struct catchup *catchup = ctx;
    struct walker *walker = &catchup->walkers[connection];
    api_get(out, &catchup->target, walker->query, walker->headers);
    return true;
}

static void done(void *ctx, unsigned connection, const struct answer *answer)
{
    struct catchup *catchup = ctx;
    struct walker *walker = &catchup->walkers[connection];
    if (catchup->options->conditional) {
        if (*walker->headers && answer->status != 304)
            catchup->unexpected++;
        else if (!*walker->headers)
            snprintf(walker->headers, sizeof walker->headers, "If-None-Match: %s\r\n", answer->etag);
    }
    if (catchup->options->walk) {
        bool at_end = answer->up_to_date || !*answer->next_offset;
        catchup->ends += at_end;
        snprintf(walker->query, sizeof walker->query, at_end ? "" : "?offset=%s", answer->next_offset);
    }
}

int catchup_mode(const struct options *options)
{
    static struct pump_result result;
    struct catchup catchup = {.options = options};
    if (options->pipeline > 1 && (options->walk || options->conditional))
        fatalx("--walk and --conditional want --pipeline 1");
    target_init(&catchup.target, options);
    catchup.walkers = xcalloc(options->connections, sizeof *catchup.walkers);
    struct pump pump = {
        .target = &catchup.target,
        .answered = answer_http,
        .connections = options->connections,
        .pipeline = options->pipeline,
        .answers = 1,
        .warmup_ns = options->warmup_ms * CLOCK_MILLISECOND,
        .measure_ns = options->seconds * CLOCK_SECOND,
        .next = next,
        .done = done,
        .ctx = &catchup,
    };
    pump_run(&pump, &result);
    result.errors += catchup.unexpected;
    printf("{\"mode\":\"catchup\",\"connections\":%u,\"mb_per_s\":%.1f,\"ends\":%llu,", options->connections,
           (double)result.bytes / result.seconds / 1e6, (unsigned long long)catchup.ends);
    pump_print(&result);
    printf("}\n");
    free(catchup.walkers);
    target_clear(&catchup.target);
    return result.errors != 0;
}
