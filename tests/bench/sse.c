/* sse: readers follow their streams, publishers append to them, and every reader must get every message exactly once
 * and in order. Three phases:
 *
 *   ATTACHING   publishers write less and less often until every reader has the latest message
 *   RUNNING     measured
 *   DRAINING    nothing more is published; what has not come when this is over is lost
 */
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "tests/bench/clock.h"
#include "tests/bench/events.h"
#include "tests/bench/histogram.h"
#include "tests/bench/modes.h"
#include "tests/bench/net.h"
#include "tests/bench/record.h"
#include "tests/bench/streams.h"

#define READY_MAX 256
#define ATTACH_EVERY_NS (250 * CLOCK_MILLISECOND)
#define ATTACH_MAX_NS (30 * CLOCK_SECOND)
#define DRAIN_MAX_NS (5 * CLOCK_SECOND)
#define STALL_NS (5 * CLOCK_SECOND)
#define WAIT_MAX_NS (20 * CLOCK_MILLISECOND)
#define NOT_YET UINT32_MAX

enum phase { ATTACHING, RUNNING, DRAINING, OVER };

struct reader {
    struct conn conn;
    struct answer answer;
    struct events events;
    struct buf part; /* the beginning of a record whose end has not come */
    uint32_t *next;  /* number expected of each publisher of this stream; NOT_YET: any */
};

struct publisher {
    struct conn conn;
    struct answer answer;
    unsigned stream;
    uint32_t number;  /* of the next message */
    uint32_t counted; /* the first number that is measured */
    unsigned readers; /* of this stream */
    unsigned behind;  /* of them: have not got the latest message */
    bool waiting;     /* for the answer to the latest message */
    uint64_t due;     /* when the next is to be sent */
};

struct sse {
    const struct options *options;
    const struct api *api;
    struct target target;
    struct net net;
    enum phase phase;
    uint64_t phase_end;
    uint64_t progress; /* when a message was last sent, answered or delivered */
    struct reader *readers;
    struct publisher *publishers;
    unsigned per_stream; /* publishers of one stream, at most */
    uint64_t now;
    uint64_t started, cpu_started;
    double seconds, cpu;
    struct histogram latency;
    uint64_t published, deliveries, delivered, lost, doubled, corrupt, dropped, errors;
};

static void take_record(struct sse *sse, struct reader *reader, struct slice text)
{
    struct record record;
    const struct options *o = sse->options;
    if (!record_read(text, &record) || record.publisher >= o->publishers ||
        sse->publishers[record.publisher].stream != reader->conn.index % o->streams) {
        sse->corrupt++;
        return;
    }
    struct publisher *publisher = &sse->publishers[record.publisher];
    uint32_t *next = &reader->next[record.publisher / o->streams];
    if (*next != NOT_YET && record.number < *next) {
        sse->doubled++;
        return;
    }
    if (*next != NOT_YET)
        sse->lost += record.number - *next;
    *next = record.number + 1;
    sse->delivered++;
    if (*next == publisher->number)
        publisher->behind--;
    if (sse->phase != ATTACHING && record.number >= publisher->counted) {
        histogram_add(&sse->latency, sse->now - record.sent);
        if (sse->phase == RUNNING)
            sse->deliveries++;
    }
}

/* Cuts the text of a stream into records; they need not begin and end with an event. */
static void take_data(struct sse *sse, struct reader *reader, struct slice data)
{
    size_t size = sse->options->size, have = buf_len(&reader->part);
    if (have) {
        size_t wanted = size - have < data.len ? size - have : data.len;
        buf_add(&reader->part, data.data, wanted);
        data = slice_of(data.data + wanted, data.len - wanted);
        if (buf_len(&reader->part) < size)
            return;
        take_record(sse, reader, buf_slice(&reader->part));
        buf_reset(&reader->part);
    }
    for (; data.len >= size; data = slice_of(data.data + size, data.len - size))
        take_record(sse, reader, slice_of(data.data, size));
    buf_add_slice(&reader->part, data);
}

static void reader_take(struct sse *sse, struct reader *reader, struct slice in)
{
    struct slice piece, data;
    enum answer_step step;
    while ((step = answer_http(&reader->answer, &in, &piece)) != ANSWER_MORE) {
        if (step == ANSWER_BAD || (step == ANSWER_HEAD && reader->answer.status != 200))
            fatalx("a reader got status %d", reader->answer.status);
        if (step != ANSWER_BODY)
            continue;
        while (events_next(&reader->events, &piece, &data))
            take_data(sse, reader, data);
    }
    conn_keep(&reader->conn, in);
}

static void publisher_take(struct sse *sse, struct publisher *publisher, struct slice in)
{
    struct slice piece;
    enum answer_step step;
    while ((step = answer_http(&publisher->answer, &in, &piece)) != ANSWER_MORE) {
        if (step == ANSWER_BAD)
            fatalx("not an answer: %.*s", (int)(in.len < 200 ? in.len : 200), in.data);
        if (step != ANSWER_DONE)
            continue;
        publisher->waiting = false;
        if (publisher->answer.status >= 300 && sse->errors++ < 5)
            fprintf(stderr, "load: a publisher got status %d\n", publisher->answer.status);
    }
    conn_keep(&publisher->conn, in);
}

static void conn_turn(struct sse *sse, struct conn *conn)
{
    unsigned readers = sse->options->readers;
    struct slice in;
    enum conn_read got;
    while ((got = conn_read(&sse->net, conn, &in)) == CONN_DATA) {
        sse->now = sse->progress = clock_now();
        if (conn->index < readers)
            reader_take(sse, &sse->readers[conn->index], in);
        else
            publisher_take(sse, &sse->publishers[conn->index - readers], in);
    }
    if (got == CONN_DRAINED)
        return;
    if (conn->index >= readers)
        fatalx("the server has closed a publisher's connection");
    sse->dropped++;
    conn_close(conn);
}

/* `sent` is when it should have been sent: being late counts as latency. */
static void publish(struct sse *sse, struct publisher *publisher, uint64_t sent)
{
    struct buf body = {0};
    struct record record = {
        .publisher = (uint32_t)(publisher - sse->publishers), .number = publisher->number++, .sent = sent};
    record_write(&body, &record, sse->options->size);
    sse->api->append(&publisher->conn.out, &sse->target, publisher->stream, buf_slice(&body));
    buf_clear(&body);
    publisher->behind = publisher->readers;
    publisher->waiting = true;
    sse->progress = sent;
    if (sse->phase == RUNNING)
        sse->published++;
    conn_flush(&publisher->conn);
}

static bool settled(const struct publisher *publisher)
{
    return !publisher->waiting && !publisher->behind;
}

static bool all_settled(const struct sse *sse)
{
    for (unsigned i = 0; i < sse->options->publishers; i++)
        if (!settled(&sse->publishers[i]) || (sse->phase == ATTACHING && !sse->publishers[i].number))
            return false;
    return true;
}

/* While readers attach it doubles with every message, so that a slow server has time for the latest. */
static uint64_t interval(const struct sse *sse, const struct publisher *publisher)
{
    if (sse->phase == ATTACHING)
        return ATTACH_EVERY_NS << (publisher->number < 5 ? publisher->number : 5);
    return sse->options->rate ? CLOCK_SECOND / sse->options->rate : 0;
}

/* Publishes what is due. */
static void publisher_turn(struct sse *sse, struct publisher *publisher)
{
    uint64_t every = interval(sse, publisher);
    if (publisher->waiting || (every ? sse->now < publisher->due : publisher->behind != 0))
        return;
    publish(sse, publisher, every && sse->phase == RUNNING ? publisher->due : sse->now);
    publisher->due = sse->phase == RUNNING ? publisher->due + every : sse->now + every;
}

static void start_running(struct sse *sse)
{
    sse->phase = RUNNING;
    sse->started = sse->now;
    sse->cpu_started = clock_cpu();
    sse->phase_end = sse->now + sse->options->seconds * CLOCK_SECOND;
    for (unsigned i = 0; i < sse->options->publishers; i++) {
        struct publisher *publisher = &sse->publishers[i];
        publisher->counted = publisher->number;
        publisher->due = sse->now + interval(sse, publisher) * i / sse->options->publishers;
    }
}

static void start_draining(struct sse *sse)
{
    sse->phase = DRAINING;
    sse->seconds = (double)(sse->now - sse->started) / 1e9;
    sse->cpu = (double)(clock_cpu() - sse->cpu_started) / 1e9 / sse->seconds;
    sse->phase_end = sse->now + DRAIN_MAX_NS;
}

static void phase_turn(struct sse *sse)
{
    bool settled_now = all_settled(sse);
    switch (sse->phase) {
    case ATTACHING:
        if (settled_now)
            start_running(sse);
        else if (sse->now > sse->phase_end)
            fatalx("not every reader got a message within %llu s", ATTACH_MAX_NS / CLOCK_SECOND);
        break;
    case RUNNING:
        if (sse->now >= sse->phase_end || sse->now > sse->progress + STALL_NS)
            start_draining(sse);
        break;
    case DRAINING:
        if (settled_now || sse->now >= sse->phase_end)
            sse->phase = OVER;
        break;
    case OVER:
        break;
    }
}

static void run(struct sse *sse)
{
    struct conn *ready[READY_MAX];
    sse->now = clock_now();
    sse->phase_end = sse->now + ATTACH_MAX_NS;
    while (sse->phase != OVER) {
        uint64_t wait = WAIT_MAX_NS;
        for (unsigned i = 0; i < sse->options->publishers && sse->phase <= RUNNING; i++) {
            struct publisher *publisher = &sse->publishers[i];
            publisher_turn(sse, publisher);
            if (!publisher->waiting && interval(sse, publisher) && publisher->due - sse->now < wait)
                wait = publisher->due - sse->now;
        }
        unsigned n = net_wait(&sse->net, ready, READY_MAX, wait);
        for (unsigned i = 0; i < n; i++)
            conn_turn(sse, ready[i]);
        sse->now = clock_now();
        phase_turn(sse);
    }
}

static void open_reader(struct sse *sse, unsigned i)
{
    struct reader *reader = &sse->readers[i];
    unsigned stream = i % sse->options->streams;
    reader->conn.index = i;
    reader->next = xmalloc(sse->per_stream * sizeof *reader->next);
    memset(reader->next, 0xff, sse->per_stream * sizeof *reader->next);
    for (unsigned p = stream; p < sse->options->publishers; p += sse->options->streams)
        sse->publishers[p].readers++;
    if (!conn_open(&sse->net, &reader->conn))
        fatal("reader %u cannot connect", i);
    sse->api->follow(&reader->conn.out, &sse->target, stream);
    conn_flush(&reader->conn);
}

static void open_all(struct sse *sse)
{
    const struct options *o = sse->options;
    target_init(&sse->target, o);
    net_init(&sse->net, sse->target.host, sse->target.port);
    sse->per_stream = (o->publishers + o->streams - 1) / o->streams;
    sse->readers = xcalloc(o->readers, sizeof *sse->readers);
    sse->publishers = xcalloc(o->publishers, sizeof *sse->publishers);
    for (unsigned i = 0; i < o->publishers; i++) {
        sse->publishers[i].stream = i % o->streams;
        sse->publishers[i].conn.index = o->readers + i;
        if (!conn_open(&sse->net, &sse->publishers[i].conn))
            fatal("publisher %u cannot connect", i);
    }
    for (unsigned i = 0; i < o->readers; i++)
        open_reader(sse, i);
}

/* What the readers still expect when it is over has been lost. */
static void count_missing(struct sse *sse)
{
    const struct options *o = sse->options;
    for (unsigned i = 0; i < o->readers; i++)
        for (unsigned p = i % o->streams; p < o->publishers; p += o->streams)
            sse->lost += sse->publishers[p].number - sse->readers[i].next[p / o->streams];
}

static void close_all(struct sse *sse)
{
    for (unsigned i = 0; i < sse->options->readers; i++) {
        conn_close(&sse->readers[i].conn);
        events_clear(&sse->readers[i].events);
        buf_clear(&sse->readers[i].part);
        free(sse->readers[i].next);
    }
    for (unsigned i = 0; i < sse->options->publishers; i++)
        conn_close(&sse->publishers[i].conn);
    free(sse->readers);
    free(sse->publishers);
    net_clear(&sse->net);
    target_clear(&sse->target);
}

static void print(const struct sse *sse)
{
    const struct options *o = sse->options;
    printf("{\"mode\":\"sse\",\"api\":\"%s\",\"readers\":%u,\"streams\":%u,\"publishers\":%u,\"rate\":%u,\"size\":%u,",
           o->api, o->readers, o->streams, o->publishers, o->rate, o->size);
    printf("\"published\":%llu,\"deliveries\":%llu,\"deliveries_per_s\":%.1f,\"delivered\":%llu,\"lost\":%llu,"
           "\"doubled\":%llu,"
           "\"corrupt\":%llu,\"dropped\":%llu,\"errors\":%llu,",
           (unsigned long long)sse->published, (unsigned long long)sse->deliveries,
           (double)sse->deliveries / sse->seconds, (unsigned long long)sse->delivered, (unsigned long long)sse->lost,
           (unsigned long long)sse->doubled, (unsigned long long)sse->corrupt, (unsigned long long)sse->dropped,
           (unsigned long long)sse->errors);
    histogram_print(&sse->latency);
    printf(",\"seconds\":%.3f,\"generator_cpu\":%.2f}\n", sse->seconds, sse->cpu);
}

int sse_mode(const struct options *options)
{
    static struct sse sse;
    static struct pump_result created;
    sse.options = options;
    sse.api = api_find(options->api);
    if (!sse.api->follow)
        fatalx("--api %s has no SSE", options->api);
    if (options->json || options->publishers < options->streams)
        fatalx("sse wants text messages and a publisher for each stream");
    if (sse.api->creates)
        streams_create(options, sse.api, (struct slice){0}, &created);
    open_all(&sse);
    run(&sse);
    count_missing(&sse);
    close_all(&sse);
    print(&sse);
    return (created.errors | sse.errors | sse.lost | sse.doubled | sse.corrupt | sse.dropped) != 0;
}
