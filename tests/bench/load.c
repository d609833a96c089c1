/* The load generator: one thread, one epoll, one line of JSON. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "tests/bench/modes.h"

static const struct mode {
    const char *name;
    int (*run)(const struct options *options);
    const char *help;
} modes[] = {
    {"append", append_mode, "appends in a closed loop: requests/s and latency; --connections 1 for the latency of one"},
    {"sse", sse_mode, "SSE readers at the tail and publishers: deliveries/s, delivery time, lost and doubled messages"},
    {"poll", poll_mode, "the same with long-poll readers"},
    {"listen", listen_mode,
     "attaches SSE readers, says so in a first line, and counts what they get until --seconds are over"},
    {"idle-streams", idle_streams_mode, "creates streams with one message each"},
    {"catchup", catchup_mode, "gets --url (as it is) again and again: requests/s and MB/s"},
    {"commit", commit_mode, "no server: commits rows to a bare SQLite in --dir, WAL and synchronous=FULL"},
    {"write", write_mode, "no server: writes blocks to the end of a file in --dir, and fdatasync"},
};

#define MODES (sizeof modes / sizeof modes[0])

static int usage(FILE *to, int status)
{
    fprintf(to, "load MODE [--option value]...\n\n");
    for (size_t i = 0; i < MODES; i++)
        fprintf(to, "  %-14s %s\n", modes[i].name, modes[i].help);
    fprintf(to, "\n");
    options_help(to);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    log_init("load", -1);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || strcmp(argv[1], "--help") == 0)
        return usage(argc < 2 ? stderr : stdout, argc < 2 ? 2 : 0);
    for (size_t i = 0; i < MODES; i++) {
        if (strcmp(argv[1], modes[i].name) != 0)
            continue;
        options_parse(&options, argc - 2, argv + 2);
        if (!options.streams)
            options.streams =
                modes[i].run == sse_mode || modes[i].run == poll_mode ? options.publishers : options.connections;
        return modes[i].run(&options);
    }
    return usage(stderr, 2);
}
