/* idle-streams: creates streams with one message each and leaves them. */
#include "tests/bench/modes.h"
#include "tests/bench/streams.h"

int idle_streams_mode(const struct options *options)
{
    static struct pump_result result;
    struct buf message = {0};
    streams_message(options, &message);
    streams_create(options, api_find(options->api), buf_slice(&message), &result);
    printf("{\"mode\":\"idle-streams\",\"streams\":%u,\"size\":%u,", options->streams, options->size);
    pump_print(&result);
    printf("}\n");
    buf_clear(&message);
    return result.errors != 0;
}
