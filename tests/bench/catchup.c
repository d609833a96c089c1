/* catchup: gets one URL again and again. */
#include "tests/bench/clock.h"
#include "tests/bench/modes.h"
#include "tests/bench/pump.h"

static bool next(void *ctx, unsigned connection UNUSED, struct buf *out)
{
    struct buf *request = ctx;
    buf_add_slice(out, buf_slice(request));
    return true;
}

int catchup_mode(const struct options *options)
{
    static struct pump_result result;
    struct target target;
    struct buf request = {0};
    target_init(&target, options);
    api_get(&request, &target);
    struct pump pump = {
        .target = &target,
        .answered = answer_http,
        .connections = options->connections,
        .pipeline = options->pipeline,
        .answers = 1,
        .warmup_ns = options->warmup_ms * CLOCK_MILLISECOND,
        .measure_ns = options->seconds * CLOCK_SECOND,
        .next = next,
        .ctx = &request,
    };
    pump_run(&pump, &result);
    printf("{\"mode\":\"catchup\",\"connections\":%u,\"mb_per_s\":%.1f,", options->connections,
           (double)result.bytes / result.seconds / 1e6);
    pump_print(&result);
    printf("}\n");
    buf_clear(&request);
    target_clear(&target);
    return result.errors != 0;
}
