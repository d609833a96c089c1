#include "tests/bench/streams.h"

#define CREATORS_MAX 64u

struct creation {
    const struct api *api;
    const struct target *target;
    struct slice body;
    unsigned made, wanted;
};

static bool next(void *ctx, unsigned connection UNUSED, struct buf *out)
{
    struct creation *creation = ctx;
    if (creation->made == creation->wanted)
        return false;
    creation->api->create(out, creation->target, creation->made++, creation->body);
    return true;
}

void streams_create(const struct options *options, const struct api *api, struct slice body, struct pump_result *result)
{
    struct target target;
    target_init(&target, options);
    struct creation creation = {.api = api, .target = &target, .body = body, .wanted = options->streams};
    struct pump pump = {
        .target = &target,
        .answered = api->answered,
        .connections = options->connections < CREATORS_MAX ? options->connections : CREATORS_MAX,
        .pipeline = options->pipeline,
        .answers = 1,
        .next = next,
        .ctx = &creation,
    };
    pump_run(&pump, result);
    target_clear(&target);
}

void streams_message(const struct options *options, struct buf *out)
{
    struct slice open = options->json ? SLICE("{\"d\":\"") : SLICE("");
    struct slice close = options->json ? SLICE("\"}") : SLICE("");
    uint32_t state = 1;
    buf_add_slice(out, open);
    for (size_t i = open.len + close.len; i < options->size; i++) {
        state = state * 1664525u + 1013904223u; /* letters in no order, the same in every run */
        buf_add_byte(out, (uint8_t)('a' + (state >> 24) % 26));
    }
    buf_add_slice(out, close);
}
