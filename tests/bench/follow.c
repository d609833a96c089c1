/* sse and poll: readers follow their streams, with SSE or with long-polls, publishers append to them, and every reader
 * must get every message exactly once and in order. Three phases:
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

struct follow {
    const struct options *options;
    bool polling;
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

static void take_record(struct follow *follow, struct reader *reader, struct slice text)
{
    struct record record;
    const struct options *o = follow->options;
    if (!record_read(text, &record) || record.publisher >= o->publishers ||
        follow->publishers[record.publisher].stream != reader->conn.index % o->streams) {
        follow->corrupt++;
        return;
    }
    struct publisher *publisher = &follow->publishers[record.publisher];
    uint32_t *next = &reader->next[record.publisher / o->streams];
    if (*next != NOT_YET && record.number < *next) {
        follow->doubled++;
        return;
    }
    if (*next != NOT_YET)
        follow->lost += record.number - *next;
    *next = record.number + 1;
    follow->delivered++;
    if (*next == publisher->number)
        publisher->behind--;
    if (follow->phase != ATTACHING && record.number >= publisher->counted) {
        histogram_add(&follow->latency, follow->now - record.sent);
        if (follow->phase == RUNNING)
            follow->deliveries++;
    }
}

/* Cuts the text of a stream into records; they need not begin and end with an event. */
static void take_data(struct follow *follow, struct reader *reader, struct slice data)
{
    size_t size = follow->options->size, have = buf_len(&reader->part);
    if (have) {
        size_t wanted = size - have < data.len ? size - have : data.len;
        buf_add(&reader->part, data.data, wanted);
        data = slice_of(data.data + wanted, data.len - wanted);
        if (buf_len(&reader->part) < size)
            return;
        take_record(follow, reader, buf_slice(&reader->part));
        buf_reset(&reader->part);
    }
    for (; data.len >= size; data = slice_of(data.data + size, data.len - size))
        take_record(follow, reader, slice_of(data.data, size));
    buf_add_slice(&reader->part, data);
}

static void reader_ask(struct follow *follow, struct reader *reader, const char *offset)
{
    unsigned stream = reader->conn.index % follow->options->streams;
    if (follow->polling)
        follow->api->poll(&reader->conn.out, &follow->target, stream, offset);
    else
        follow->api->follow(&reader->conn.out, &follow->target, stream);
    conn_flush(&reader->conn);
}

static void reader_take(struct follow *follow, struct reader *reader, struct slice in)
{
    struct slice piece, data;
    enum answer_step step;
    while ((step = answer_http(&reader->answer, &in, &piece)) != ANSWER_MORE) {
        int status = reader->answer.status;
        if (step == ANSWER_BAD || (step == ANSWER_HEAD && status != 200 && !(follow->polling && status == 204)))
            fatalx("a reader got status %d", status);
        if (step == ANSWER_DONE && follow->polling)
            reader_ask(follow, reader, reader->answer.next_offset);
        if (step != ANSWER_BODY)
            continue;
        if (follow->polling)
            take_data(follow, reader, piece);
        while (!follow->polling && events_next(&reader->events, &piece, &data))
            take_data(follow, reader, data);
    }
    conn_keep(&reader->conn, in);
}

static void publisher_take(struct follow *follow, struct publisher *publisher, struct slice in)
{
    struct slice piece;
    enum answer_step step;
    while ((step = answer_http(&publisher->answer, &in, &piece)) != ANSWER_MORE) {
        if (step == ANSWER_BAD)
            fatalx("not an answer: %.*s", (int)(in.len < 200 ? in.len : 200), in.data);
        if (step != ANSWER_DONE)
            continue;
        publisher->waiting = false;
        if (publisher->answer.status >= 300 && follow->errors++ < 5)
            fprintf(stderr, "load: a publisher got status %d\n", publisher->answer.status);
    }
    conn_keep(&publisher->conn, in);
}

static void conn_turn(struct follow *follow, struct conn *conn)
{
    unsigned readers = follow->options->readers;
    struct slice in;
    enum conn_read got;
    while ((got = conn_read(&follow->net, conn, &in)) == CONN_DATA) {
        follow->now = follow->progress = clock_now();
        if (conn->index < readers)
            reader_take(follow, &follow->readers[conn->index], in);
        else
            publisher_take(follow, &follow->publishers[conn->index - readers], in);
    }
    if (got == CONN_DRAINED)
        return;
    if (conn->index >= readers)
        fatalx("the server has closed a publisher's connection");
    follow->dropped++;
    conn_close(conn);
}

/* `sent` is when it should have been sent: being late counts as latency. */
static void publish(struct follow *follow, struct publisher *publisher, uint64_t sent)
{
    struct buf body = {0};
    struct record record = {
        .publisher = (uint32_t)(publisher - follow->publishers), .number = publisher->number++, .sent = sent};
    record_write(&body, &record, follow->options->size);
    follow->api->append(&publisher->conn.out, &follow->target, publisher->stream, buf_slice(&body));
    buf_clear(&body);
    publisher->behind = publisher->readers;
    publisher->waiting = true;
    follow->progress = sent;
    if (follow->phase == RUNNING)
        follow->published++;
    conn_flush(&publisher->conn);
}

static bool flushed(const struct publisher *publisher)
{
    return !publisher->waiting && !publisher->behind;
}

static bool all_flushed(const struct follow *follow)
{
    for (unsigned i = 0; i < follow->options->publishers; i++)
        if (!flushed(&follow->publishers[i]) || (follow->phase == ATTACHING && !follow->publishers[i].number))
            return false;
    return true;
}

/* While readers attach it doubles with every message, so that a slow server has time for the latest. */
static uint64_t interval(const struct follow *follow, const struct publisher *publisher)
{
    if (follow->phase == ATTACHING)
        return ATTACH_EVERY_NS << (publisher->number < 5 ? publisher->number : 5);
    return follow->options->rate ? CLOCK_SECOND / follow->options->rate : 0;
}

/* Publishes what is due. */
static void publisher_turn(struct follow *follow, struct publisher *publisher)
{
    uint64_t every = interval(follow, publisher);
    if (publisher->waiting || (every ? follow->now < publisher->due : publisher->behind != 0))
        return;
    publish(follow, publisher, every && follow->phase == RUNNING ? publisher->due : follow->now);
    publisher->due = follow->phase == RUNNING ? publisher->due + every : follow->now + every;
}

static void start_running(struct follow *follow)
{
    follow->phase = RUNNING;
    follow->started = follow->now;
    follow->cpu_started = clock_cpu();
    follow->phase_end = follow->now + follow->options->seconds * CLOCK_SECOND;
    for (unsigned i = 0; i < follow->options->publishers; i++) {
        struct publisher *publisher = &follow->publishers[i];
        publisher->counted = publisher->number;
        publisher->due = follow->now + interval(follow, publisher) * i / follow->options->publishers;
    }
}

static void start_draining(struct follow *follow)
{
    follow->phase = DRAINING;
    follow->seconds = (double)(follow->now - follow->started) / 1e9;
    follow->cpu = (double)(clock_cpu() - follow->cpu_started) / 1e9 / follow->seconds;
    follow->phase_end = follow->now + DRAIN_MAX_NS;
}

static void phase_turn(struct follow *follow)
{
    bool flushed_now = all_flushed(follow);
    switch (follow->phase) {
    case ATTACHING:
        if (flushed_now)
            start_running(follow);
        else if (follow->now > follow->phase_end)
            fatalx("not every reader got a message within %llu s", ATTACH_MAX_NS / CLOCK_SECOND);
        break;
    case RUNNING:
        if (follow->now >= follow->phase_end || follow->now > follow->progress + STALL_NS)
            start_draining(follow);
        break;
    case DRAINING:
        if (flushed_now || follow->now >= follow->phase_end)
            follow->phase = OVER;
        break;
    case OVER:
        break;
    }
}

static void run(struct follow *follow)
{
    struct conn *ready[READY_MAX];
    follow->now = clock_now();
    follow->phase_end = follow->now + ATTACH_MAX_NS;
    while (follow->phase != OVER) {
        uint64_t wait = WAIT_MAX_NS;
        for (unsigned i = 0; i < follow->options->publishers && follow->phase <= RUNNING; i++) {
            struct publisher *publisher = &follow->publishers[i];
            publisher_turn(follow, publisher);
            if (!publisher->waiting && interval(follow, publisher) && publisher->due - follow->now < wait)
                wait = publisher->due - follow->now;
        }
        unsigned n = net_wait(&follow->net, ready, READY_MAX, wait);
        for (unsigned i = 0; i < n; i++)
            conn_turn(follow, ready[i]);
        follow->now = clock_now();
        phase_turn(follow);
    }
}

static void open_reader(struct follow *follow, unsigned i)
{
    struct reader *reader = &follow->readers[i];
    unsigned stream = i % follow->options->streams;
    reader->conn.index = i;
    reader->next = xmalloc(follow->per_stream * sizeof *reader->next);
    memset(reader->next, 0xff, follow->per_stream * sizeof *reader->next);
    for (unsigned p = stream; p < follow->options->publishers; p += follow->options->streams)
        follow->publishers[p].readers++;
    if (!conn_open(&follow->net, &reader->conn))
        fatal("reader %u cannot connect", i);
    reader_ask(follow, reader, "now");
}

static void open_all(struct follow *follow)
{
    const struct options *o = follow->options;
    target_init(&follow->target, o);
    net_init(&follow->net, follow->target.host, follow->target.port);
    follow->per_stream = (o->publishers + o->streams - 1) / o->streams;
    follow->readers = xcalloc(o->readers, sizeof *follow->readers);
    follow->publishers = xcalloc(o->publishers, sizeof *follow->publishers);
    for (unsigned i = 0; i < o->publishers; i++) {
        follow->publishers[i].stream = i % o->streams;
        follow->publishers[i].conn.index = o->readers + i;
        if (!conn_open(&follow->net, &follow->publishers[i].conn))
            fatal("publisher %u cannot connect", i);
    }
    for (unsigned i = 0; i < o->readers; i++)
        open_reader(follow, i);
}

/* What the readers still expect when it is over has been lost. */
static void count_missing(struct follow *follow)
{
    const struct options *o = follow->options;
    for (unsigned i = 0; i < o->readers; i++)
        for (unsigned p = i % o->streams; p < o->publishers; p += o->streams)
            follow->lost += follow->publishers[p].number - follow->readers[i].next[p / o->streams];
}

static void close_all(struct follow *follow)
{
    for (unsigned i = 0; i < follow->options->readers; i++) {
        conn_close(&follow->readers[i].conn);
        events_clear(&follow->readers[i].events);
        buf_clear(&follow->readers[i].part);
        free(follow->readers[i].next);
    }
    for (unsigned i = 0; i < follow->options->publishers; i++)
        conn_close(&follow->publishers[i].conn);
    free(follow->readers);
    free(follow->publishers);
    net_clear(&follow->net);
    target_clear(&follow->target);
}

static void print(const struct follow *follow)
{
    const struct options *o = follow->options;
    printf("{\"mode\":\"%s\",\"api\":\"%s\",\"readers\":%u,\"streams\":%u,\"publishers\":%u,\"rate\":%u,"
           "\"size\":%u,",
           follow->polling ? "poll" : "sse", o->api, o->readers, o->streams, o->publishers, o->rate, o->size);
    printf("\"published\":%llu,\"deliveries\":%llu,\"deliveries_per_s\":%.1f,\"delivered\":%llu,\"lost\":%llu,"
           "\"doubled\":%llu,"
           "\"corrupt\":%llu,\"dropped\":%llu,\"errors\":%llu,",
           (unsigned long long)follow->published, (unsigned long long)follow->deliveries,
           (double)follow->deliveries / follow->seconds, (unsigned long long)follow->delivered,
           (unsigned long long)follow->lost, (unsigned long long)follow->doubled, (unsigned long long)follow->corrupt,
           (unsigned long long)follow->dropped, (unsigned long long)follow->errors);
    histogram_print(&follow->latency);
    printf(",\"seconds\":%.3f,\"generator_cpu\":%.2f}\n", follow->seconds, follow->cpu);
}

static int follow_mode(const struct options *options, bool polling)
{
    static struct follow follow;
    static struct pump_result created;
    follow.options = options;
    follow.polling = polling;
    follow.api = api_find(options->api);
    if (polling ? !follow.api->poll : !follow.api->follow)
        fatalx("--api %s has no such thing", options->api);
    if (options->json || options->publishers < options->streams)
        fatalx("text messages and a publisher for each stream are wanted");
    if (follow.api->creates)
        streams_create(options, follow.api, (struct slice){0}, &created);
    open_all(&follow);
    run(&follow);
    count_missing(&follow);
    close_all(&follow);
    print(&follow);
    return (created.errors | follow.errors | follow.lost | follow.doubled | follow.corrupt | follow.dropped) != 0;
}

int sse_mode(const struct options *options)
{
    return follow_mode(options, false);
}

int poll_mode(const struct options *options)
{
    return follow_mode(options, true);
}
