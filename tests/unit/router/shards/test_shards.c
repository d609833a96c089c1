/* The requests of a router to one shard: what is sent when, what an answer reaches, and what the shard's death does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "router/router.h"
#include "router/shards/shard_request.h"

#define READS_AT_ONCE 64 /* as in shard_request.c */

struct stand {
    char dir[64];
    struct config cfg;
    struct router router;
    struct link shard; /* its end */
    uint64_t ids[200]; /* of the requests that came there */
    enum wire_type types[200];
    size_t came;
    char told[400]; /* "up ", "down ", "usage:3 ", "event:7 ", in their order */
};

static struct stand *stand_of(struct router *r)
{
    return (struct stand *)(void *)((char *)r - offsetof(struct stand, router));
}

static void tell(struct router *r, const char *what, uint64_t number)
{
    char *told = stand_of(r)->told;
    snprintf(told + strlen(told), sizeof stand_of(r)->told - strlen(told), "%s%llu ", what, (unsigned long long)number);
}

static void on_event(struct router *r, const struct wire_event *m)
{
    tell(r, "event:", m->watch);
}

static void on_usage(struct router *r, unsigned shard, const struct wire_usage *m)
{
    assert_int_equal(shard, 0);
    tell(r, "usage:", m->bytes);
}

static void on_up(struct router *r, unsigned shard)
{
    tell(r, "up:", shard);
}

static void on_down(struct router *r, unsigned shard)
{
    tell(r, "down:", shard);
}

static const struct shards_events events = {.event = on_event, .usage = on_usage, .up = on_up, .down = on_down};

/* ---- the stand ---- */

static void shard_up(struct stand *s)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    link_close(&s->shard);
    link_open(&s->shard, s->router.base, pair[1], 0);
    shards_peer(&s->router.shards, 0, pair[0]);
}

static int setup(void **state)
{
    struct stand *s = xcalloc(1, sizeof *s);
    struct layout layout;
    char assignment[100];
    snprintf(s->dir, sizeof s->dir, "/tmp/streamd-unit-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    layout_init(&layout, 1);
    assert_true(layout_save(s->dir, &layout));
    config_init(&s->cfg);
    snprintf(assignment, sizeof assignment, "server.data_dir=%s", s->dir);
    assert_int_equal(config_set(&s->cfg, assignment, stderr), 0);
    s->router.cfg = &s->cfg;
    s->router.base = event_base_new();
    s->router.now_ms = 1000;
    s->shard.fd = -1;
    deadlines_init(&s->router.deadlines);
    shards_init(&s->router.shards, &s->router, &events);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stand *s = *state;
    struct shards *shards = &s->router.shards;
    char path[128];
    link_close(&s->shard);
    link_close(&shards->peers[0].link);
    for (uint32_t i = 0; i < shards->slot_count; i++) {
        buf_clear(&shards->slots[i]->frame);
        free(shards->slots[i]);
    }
    free(shards->slots);
    free(shards->peers);
    event_base_free(s->router.base);
    config_clear(&s->cfg);
    snprintf(path, sizeof path, "%s/layout", s->dir);
    unlink(path);
    rmdir(s->dir);
    free(s);
    return 0;
}

/* What the router put leaves, and is noted at the shard's end. */
static void deliver(struct stand *s)
{
    size_t cursor = 0;
    enum wire_type type;
    struct slice body;
    shards_flush(&s->router.shards);
    s->shard.readable_now = true;
    s->came = 0;
    (void)link_receive(&s->shard, SIZE_MAX);
    while (link_next(&s->shard, &cursor, &type, &body)) {
        struct wire_delete delete;
        struct wire_read read;
        if (type == WIRE_DELETE && wire_get_delete(body, &delete))
            s->ids[s->came] = delete.id;
        if (type == WIRE_READ && wire_get_read(body, &read))
            s->ids[s->came] = read.id;
        s->types[s->came++] = type;
    }
    link_release(&s->shard, cursor);
}

/* What the shard put arrives. */
static void answered(struct stand *s)
{
    link_flush(&s->shard);
    s->router.shards.peers[0].link.readable_now = true;
    shards_receive(&s->router.shards);
}

/* What a request's `owner` points to. */
struct outcome {
    unsigned calls;
    enum error error;
    enum wire_type type;
    uint64_t tail;
    char text[200];
};

static void on_answer(struct shard_request *q, const struct answer *answer)
{
    struct outcome *outcome = q->owner;
    outcome->calls++;
    outcome->error = answer->error;
    outcome->type = answer->type;
    outcome->tail = answer_stream(answer) ? answer_stream(answer)->tail : 0;
    snprintf(outcome->text, sizeof outcome->text, "%s", answer->text ? answer->text : "");
}

static struct shard_request *ask_delete(struct stand *s, struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    struct shard_request *q = shard_request_new(&s->router.shards, 0, on_answer, outcome);
    wire_put_delete(&q->frame, &(struct wire_delete){.id = q->id, .name = SLICE("p/s")});
    return q;
}

static struct shard_request *ask_read(struct stand *s, struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    struct shard_request *q = shard_request_new(&s->router.shards, 0, on_answer, outcome);
    q->is_read = q->repeatable = true;
    wire_put_read(&q->frame, &(struct wire_read){.id = q->id, .name = SLICE("p/s")});
    return q;
}

static void put_stream(struct stand *s, uint64_t id, enum error error, uint64_t tail)
{
    wire_put_stream(&s->shard.out,
                    &(struct wire_stream){.id = id, .error = (uint8_t)error, .tail = tail, .text = SLICE("why")});
}

/* ---- answers ---- */

static void an_answer_reaches_its_request(void **state)
{
    struct stand *s = *state;
    struct outcome first, second;
    shard_up(s);
    assert_true(shard_request_send(&s->router.shards, ask_delete(s, &first)));
    assert_true(shard_request_send(&s->router.shards, ask_delete(s, &second)));
    deliver(s);
    assert_int_equal(s->came, 2);
    put_stream(s, s->ids[1], ERR_STREAM_NOT_FOUND, 7);
    put_stream(s, s->ids[1], ERR_NONE, 8); /* the request is forgotten: nobody hears of it */
    answered(s);
    assert_int_equal(first.calls, 0);
    assert_int_equal(second.calls, 1);
    assert_int_equal(second.error, ERR_STREAM_NOT_FOUND);
    assert_int_equal(second.type, WIRE_STREAM);
    assert_int_equal(second.tail, 7);
    assert_string_equal(second.text, "why");
    put_stream(s, s->ids[0], ERR_NONE, 9);
    answered(s);
    assert_int_equal(first.calls, 1);
    assert_int_equal(s->router.shards.peers[0].held, 0);
}

static void what_is_no_answer_is_handed_on(void **state)
{
    struct stand *s = *state;
    shard_up(s);
    wire_put_event(&s->shard.out, &(struct wire_event){.watch = 7});
    wire_put_usage(&s->shard.out, &(struct wire_usage){.project = SLICE("p"), .bytes = 3});
    answered(s);
    assert_string_equal(s->told, "up:0 event:7 usage:3 ");
}

static void a_frame_of_another_direction_ends_the_link(void **state)
{
    struct stand *s = *state;
    shard_up(s);
    wire_put_delete(&s->shard.out, &(struct wire_delete){.id = 1, .name = SLICE("p/s")});
    answered(s);
    assert_string_equal(s->told, "up:0 down:0 ");
    assert_false(link_up(&s->router.shards.peers[0].link));
}

static void an_abandoned_request_is_not_answered(void **state)
{
    struct stand *s = *state;
    struct outcome gone, waiting;
    shard_up(s);
    struct shard_request *q = ask_delete(s, &gone);
    assert_true(shard_request_send(&s->router.shards, q));
    deliver(s);
    shard_request_abandon(&s->router.shards, q);
    put_stream(s, s->ids[0], ERR_NONE, 1);
    answered(s);
    assert_int_equal(gone.calls, 0);
    link_close(&s->shard);
    s->router.shards.peers[0].link.dead = true;
    shards_receive(&s->router.shards);
    q = ask_delete(s, &waiting); /* has not left: it never does */
    assert_true(shard_request_send(&s->router.shards, q));
    shard_request_abandon(&s->router.shards, q);
    shard_up(s);
    deliver(s);
    assert_int_equal(s->came, 0);
    assert_int_equal(waiting.calls, 0);
}

/* ---- reads ---- */

static void few_reads_at_a_time(void **state)
{
    struct stand *s = *state;
    struct outcome outcomes[READS_AT_ONCE + 2], other;
    shard_up(s);
    for (unsigned i = 0; i < READS_AT_ONCE + 2; i++)
        assert_true(shard_request_send(&s->router.shards, ask_read(s, &outcomes[i])));
    deliver(s);
    assert_int_equal(s->came, READS_AT_ONCE);
    uint64_t first = s->ids[0], second = s->ids[1];
    assert_true(shard_request_send(&s->router.shards, ask_delete(s, &other)));
    deliver(s); /* what is no read goes ahead */
    assert_int_equal(s->came, 1);
    assert_int_equal(s->types[0], WIRE_DELETE);
    put_stream(s, first, ERR_NONE, 1);
    answered(s);
    deliver(s);
    assert_int_equal(s->came, 1);
    wire_put_parked(&s->shard.out, &(struct wire_parked){.id = second});
    answered(s);
    deliver(s);
    assert_int_equal(s->came, 1);
    put_stream(s, second, ERR_NONE, 1); /* its place was given away already */
    answered(s);
    assert_int_equal(s->router.shards.peers[0].reads_out, READS_AT_ONCE);
}

/* ---- death ---- */

static void what_may_be_repeated_is(void **state)
{
    struct stand *s = *state;
    struct outcome read, delete, unsent;
    shard_up(s);
    assert_true(shard_request_send(&s->router.shards, ask_read(s, &read)));
    assert_true(shard_request_send(&s->router.shards, ask_delete(s, &delete)));
    deliver(s);
    assert_true(shard_request_send(&s->router.shards, ask_delete(s, &unsent)));
    link_close(&s->shard);
    s->router.shards.peers[0].link.readable_now = true;
    shards_receive(&s->router.shards);
    assert_string_equal(s->told, "up:0 down:0 ");
    assert_int_equal(delete.calls, 1); /* nobody knows whether it was done */
    assert_int_equal(delete.error, ERR_SHARD_UNAVAILABLE);
    assert_int_equal(delete.type, WIRE_INVALID);
    assert_non_null(strstr(delete.text, "unknown"));
    assert_int_equal(read.calls + unsent.calls, 0);
    shard_up(s);
    deliver(s);
    assert_int_equal(s->came, 2);
    put_stream(s, s->ids[0], ERR_NONE, 1);
    put_stream(s, s->ids[1], ERR_NONE, 1);
    answered(s);
    assert_int_equal(read.calls, 1);
    assert_int_equal(unsent.calls, 1);
}

static void who_waits_too_long_is_told(void **state)
{
    struct stand *s = *state;
    struct outcome impatient, patient;
    struct shard_request *q = ask_delete(s, &patient);
    struct deadline *due;
    q->patient = true;
    assert_true(shard_request_send(&s->router.shards, q)); /* the shard was never there */
    assert_true(shard_request_send(&s->router.shards, ask_delete(s, &impatient)));
    assert_null(deadline_expired(&s->router.deadlines, DEADLINE_SHARD_WAIT, s->router.now_ms));
    s->router.now_ms += s->cfg.router_shard_wait;
    while ((due = deadline_expired(&s->router.deadlines, DEADLINE_SHARD_WAIT, s->router.now_ms)))
        shard_request_expired(&s->router.shards, due);
    assert_int_equal(impatient.error, ERR_SHARD_UNAVAILABLE);
    assert_int_equal(patient.calls, 0);
    shard_up(s);
    deliver(s);
    assert_int_equal(s->came, 1);
}

static void a_queue_has_a_bound(void **state)
{
    struct stand *s = *state;
    struct outcome first, second;
    s->cfg.router_queue_memory = 1;
    assert_true(shard_request_send(&s->router.shards, ask_delete(s, &first))); /* one always may */
    assert_false(shard_request_send(&s->router.shards, ask_delete(s, &second)));
    assert_int_equal(second.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_reaches_its_request, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_answer_is_handed_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_of_another_direction_ends_the_link, setup, teardown),
        cmocka_unit_test_setup_teardown(an_abandoned_request_is_not_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(few_reads_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(what_may_be_repeated_is, setup, teardown),
        cmocka_unit_test_setup_teardown(who_waits_too_long_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_queue_has_a_bound, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
