#include "tests/bench/pump.h"

#include <errno.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "tests/bench/clock.h"
#include "tests/bench/net.h"

#define READY_MAX 256
#define ERRORS_SHOWN 5
#define ERRORS_MAX 10000
#define STALL_NS (30 * CLOCK_SECOND)
#define WAIT_MAX_NS (CLOCK_SECOND / 10)

/* One connection. sent[] is a ring of the times at which the requests in flight were sent. */
struct lane {
    struct conn conn;
    struct answer answer;
    uint64_t *sent;
    uint64_t due; /* when the next is to be sent */
    unsigned oldest, flying;
    unsigned answers_left; /* of the oldest request */
};

struct run {
    const struct pump *pump;
    struct pump_result *result;
    struct net net;
    struct lane *lanes;
    unsigned flying;
    uint64_t count_from, until;
    uint64_t progress; /* when something last came */
};

static void count_error(struct run *run, const char *what, int status)
{
    if (run->result->errors++ < ERRORS_SHOWN)
        fprintf(stderr, "load: %s %d\n", what, status);
    if (run->result->errors > ERRORS_MAX)
        fatalx("more than %d errors", ERRORS_MAX);
}

static void lane_fill(struct run *run, struct lane *lane, uint64_t now)
{
    const struct pump *pump = run->pump;
    while (lane->flying < pump->pipeline && lane->due <= now && now < run->until &&
           pump->next(pump->ctx, lane->conn.index, &lane->conn.out)) {
        lane->sent[(lane->oldest + lane->flying++) % pump->pipeline] = pump->every_ns ? lane->due : now;
        lane->due += pump->every_ns;
        run->flying++;
    }
    conn_flush(&lane->conn);
}

static bool is_good(const struct answer *answer)
{
    return answer->status < 300 || answer->status == 304;
}

static void lane_answered(struct run *run, struct lane *lane, uint64_t now)
{
    if (!lane->flying)
        fatalx("an answer to nothing");
    if (!is_good(&lane->answer))
        count_error(run, "answer", lane->answer.status);
    if (--lane->answers_left)
        return;
    lane->answers_left = run->pump->answers;
    if (run->pump->done)
        run->pump->done(run->pump->ctx, lane->conn.index, &lane->answer);
    if (now >= run->count_from && is_good(&lane->answer))
        histogram_add(&run->result->latency, now - lane->sent[lane->oldest]);
    run->result->answered++;
    lane->oldest = (lane->oldest + 1) % run->pump->pipeline;
    lane->flying--;
    run->flying--;
}

static void lane_take(struct run *run, struct lane *lane, struct slice in, uint64_t now)
{
    struct slice piece;
    for (;;) {
        switch (run->pump->answered(&lane->answer, &in, &piece)) {
        case ANSWER_MORE:
            conn_keep(&lane->conn, in);
            return;
        case ANSWER_HEAD:
            break;
        case ANSWER_BODY:
            if (!is_good(&lane->answer) && run->result->errors < ERRORS_SHOWN)
                fprintf(stderr, "load: %.*s\n", (int)piece.len, piece.data);
            if (now >= run->count_from)
                run->result->bytes += piece.len;
            break;
        case ANSWER_DONE:
            lane_answered(run, lane, now);
            break;
        case ANSWER_BAD:
            fatalx("not an answer: %.*s", (int)(in.len < 200 ? in.len : 200), in.data);
        }
    }
}

/* What was in flight is lost with the connection and counts as errors. */
static void lane_reopen(struct run *run, struct lane *lane)
{
    while (lane->flying) {
        lane->flying--;
        run->flying--;
        count_error(run, "connection closed, after status", lane->answer.status);
    }
    conn_close(&lane->conn);
    lane->answer = (struct answer){0};
    lane->answers_left = run->pump->answers;
    if (!conn_open(&run->net, &lane->conn))
        fatal("cannot connect to %s:%s again", run->pump->target->host, run->pump->target->port);
}

static void lane_turn(struct run *run, struct lane *lane)
{
    struct slice in;
    enum conn_read got;
    while ((got = conn_read(&run->net, &lane->conn, &in)) == CONN_DATA)
        lane_take(run, lane, in, clock_now());
    if (got == CONN_DEAD)
        lane_reopen(run, lane);
    lane_fill(run, lane, clock_now());
}

static void open_lanes(struct run *run)
{
    const struct pump *pump = run->pump;
    net_init(&run->net, pump->target->host, pump->target->port);
    run->lanes = xcalloc(pump->connections, sizeof *run->lanes);
    for (unsigned i = 0; i < pump->connections; i++) {
        struct lane *lane = &run->lanes[i];
        lane->conn.index = i;
        lane->sent = xcalloc(pump->pipeline, sizeof *lane->sent);
        lane->answers_left = pump->answers;
        if (!conn_open(&run->net, &lane->conn))
            fatal("cannot connect to %s:%s", pump->target->host, pump->target->port);
    }
}

static void close_lanes(struct run *run)
{
    for (unsigned i = 0; i < run->pump->connections; i++) {
        conn_close(&run->lanes[i].conn);
        free(run->lanes[i].sent);
    }
    free(run->lanes);
    net_clear(&run->net);
}

/* Sends what is due on every connection; how long until the next is. */
static uint64_t send_due(struct run *run)
{
    uint64_t now = clock_now(), wait = WAIT_MAX_NS;
    for (unsigned i = 0; i < run->pump->connections && run->pump->every_ns; i++) {
        struct lane *lane = &run->lanes[i];
        lane_fill(run, lane, now);
        if (lane->due > now && lane->due - now < wait)
            wait = lane->due - now;
    }
    return wait;
}

static void turn(struct run *run)
{
    struct conn *ready[READY_MAX];
    unsigned n = net_wait(&run->net, ready, READY_MAX, send_due(run));
    for (unsigned i = 0; i < n; i++)
        lane_turn(run, &run->lanes[ready[i]->index]);
    uint64_t now = clock_now();
    if (n)
        run->progress = now;
    if (now - run->progress > STALL_NS)
        fatalx("no answer for %llu s", STALL_NS / CLOCK_SECOND);
}

/* Until the time is over, or all that was sent is answered and there is nothing more to send. */
static void turn_until_over(struct run *run)
{
    while ((run->flying || run->pump->every_ns) && clock_now() < run->until)
        turn(run);
}

/* Answers that come later are not measured, but a server has done their work. */
static void drain(struct run *run)
{
    run->count_from = UINT64_MAX;
    while (run->flying)
        turn(run);
}

void pump_run(const struct pump *pump, struct pump_result *result)
{
    struct run run = {.pump = pump, .result = result};
    *result = (struct pump_result){0};
    open_lanes(&run);
    uint64_t start = clock_now(), cpu = clock_cpu();
    run.progress = start;
    run.count_from = start + pump->warmup_ns;
    run.until = pump->measure_ns ? run.count_from + pump->measure_ns : UINT64_MAX;
    for (unsigned i = 0; i < pump->connections; i++) {
        run.lanes[i].due = start + pump->every_ns * i / pump->connections;
        lane_fill(&run, &run.lanes[i], clock_now());
    }
    turn_until_over(&run);
    uint64_t end = clock_now();
    result->seconds = (double)(end - run.count_from) / 1e9;
    result->cpu = (double)(clock_cpu() - cpu) / (double)(end - start);
    drain(&run);
    close_lanes(&run);
}

void pump_print(const struct pump_result *result)
{
    printf("\"requests\":%llu,\"requests_per_s\":%.1f,\"answered\":%llu,\"errors\":%llu,",
           (unsigned long long)result->latency.count, (double)result->latency.count / result->seconds,
           (unsigned long long)result->answered, (unsigned long long)result->errors);
    histogram_print(&result->latency);
    printf(",\"seconds\":%.3f,\"generator_cpu\":%.2f", result->seconds, result->cpu);
}
