/* append: every connection appends to its stream, the next request when the last is answered, or at --rate. */
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "tests/bench/clock.h"
#include "tests/bench/modes.h"
#include "tests/bench/streams.h"

/* The requests are written out once: nothing is formatted while it is measured. */
struct appending {
    struct buf *requests; /* one for each connection */
};

static bool next(void *ctx, unsigned connection, struct buf *out)
{
    struct appending *appending = ctx;
    buf_add_slice(out, buf_slice(&appending->requests[connection]));
    return true;
}

static void add_request(struct buf *out, const struct options *options, const struct target *target, unsigned stream)
{
    const struct api *api = api_find(options->api);
    struct buf message = {0}, body = {0};
    streams_message(options, &message);
    for (unsigned i = 0; i < options->batch; i++) {
        if (api->reply_each) {
            api->append(out, target, stream, buf_slice(&message));
            continue;
        }
        if (options->batch > 1)
            buf_add_slice(&body, i ? SLICE(",") : SLICE("["));
        buf_add_slice(&body, buf_slice(&message));
    }
    if (options->batch > 1)
        buf_add_slice(&body, SLICE("]"));
    if (!api->reply_each)
        api->append(out, target, stream, buf_slice(&body));
    buf_clear(&message);
    buf_clear(&body);
}

static void print(const struct options *options, const struct pump_result *result)
{
    printf("{\"mode\":\"append\",\"api\":\"%s\",\"connections\":%u,\"streams\":%u,\"size\":%u,\"batch\":%u,"
           "\"rate\":%u,\"messages_per_s\":%.1f,",
           options->api, options->connections, options->streams, options->size, options->batch, options->rate,
           (double)result->latency.count * options->batch / result->seconds);
    pump_print(result);
    printf("}\n");
}

int append_mode(const struct options *options)
{
    const struct api *api = api_find(options->api);
    struct target target;
    static struct pump_result result;
    if (options->batch > 1 && !api->reply_each && !options->json)
        fatalx("--batch needs --json or --api redis");
    if (api->creates) {
        streams_create(options, api, (struct slice){0}, &result);
        if (result.errors)
            return 1;
    }
    target_init(&target, options);
    struct appending appending = {.requests = xcalloc(options->connections, sizeof *appending.requests)};
    for (unsigned i = 0; i < options->connections; i++)
        add_request(&appending.requests[i], options, &target, i % options->streams);
    struct pump pump = {
        .target = &target,
        .answered = api->answered,
        .connections = options->connections,
        .pipeline = options->pipeline,
        .answers = api->reply_each ? options->batch : 1,
        .every_ns = options->rate ? CLOCK_SECOND / options->rate : 0,
        .warmup_ns = options->warmup_ms * CLOCK_MILLISECOND,
        .measure_ns = options->seconds * CLOCK_SECOND,
        .next = next,
        .ctx = &appending,
    };
    pump_run(&pump, &result);
    print(options, &result);
    for (unsigned i = 0; i < options->connections; i++)
        buf_clear(&appending.requests[i]);
    free(appending.requests);
    target_clear(&target);
    return result.errors != 0;
}
