/* The doctor's checks of live reads: whether events arrive at once, and whether a silent connection stays open.
 * Proxies fail here most often: they gather a body before they pass it on, compress it, or close what is silent.
 *
 *     events      open ?live=sse at the tail; append; the control event with the new tail must come in time
 *     long-poll   ask at the tail; no answer for 500 ms; append; the answer must end at the new tail
 *     silence     both at once for --idle seconds without an append; heartbeats are counted
 *
 * An ended connection is good if the server ended it properly (an event stream's end, a 204), and bad if it was cut. */
#include <stdio.h>

#include "common/clock.h"
#include "common/document.h"
#include "common/offset.h"
#include "router/cli/doctor.h"

#define OPEN_MS 5000u

/* An event stream that is listened to. */
struct listener {
    struct cli_request request;
    struct event_stream events;
    struct offset next; /* of the last control event */
    bool got_control;
};

static void doctor_live_on_event(void *ctx, struct slice type, struct slice data)
{
    struct listener *l = ctx;
    if (!slice_equal(type, SLICE("control")))
        return;
    cJSON *control = document_parse(data);
    const char *next = document_text(control, "streamNextOffset");
    l->got_control = next && offset_parse(slice_str(next), &l->next);
    cJSON_Delete(control);
}

static bool doctor_live_on_piece(void *ctx, struct slice piece)
{
    struct listener *l = ctx;
    event_stream_feed(&l->events, piece);
    return true;
}

static void doctor_live_start(struct doctor *d, struct cli_request *request, const char *live)
{
    char path[600], tail[OFFSET_LEN + 1];
    doctor_tail(d, tail);
    snprintf(path, sizeof path, "%s?offset=%s&live=%s", d->path, tail, live);
    request->token = d->token;
    cli_request_start(d->cli, request, path);
}

static void doctor_live_listen_to(struct doctor *d, struct listener *l)
{
    *l = (struct listener){.request = {.piece = doctor_live_on_piece, .ctx = l},
                           .events = {.event = doctor_live_on_event, .ctx = l}};
    /* The bait for a proxy that compresses: libcurl does not decode it, so Content-Encoding stays visible. */
    cli_request_add_header(&l->request, "Accept-Encoding", "gzip");
    doctor_live_start(d, &l->request, "sse");
}

/* Before the listener's memory goes: clearing cancels the request, whose callbacks point at it. */
static void doctor_live_forget(struct listener *l)
{
    cli_request_clear(&l->request);
    event_stream_clear(&l->events);
}

/* Until a control event has come that is not before the stream's tail. */
static bool doctor_live_wait_for_tail(struct doctor *d, struct listener *l, uint64_t ms)
{
    uint64_t until = clock_monotonic_ms() + ms, now;
    while (!(l->got_control && l->next.position >= buf_len(&d->sent)) && !l->request.done && !d->cli->interrupted &&
           (now = clock_monotonic_ms()) < until)
        cli_turn(d->cli, until - now);
    return l->got_control && l->next.position >= buf_len(&d->sent);
}

static const char *const doctor_live_unbuffered =
    "nginx: proxy_buffering off, no gzip, no proxy_ignore_headers X-Accel-Buffering; HAProxy: no filter compression";

/* False, and said: events do not come. */
static bool doctor_live_events_come(struct doctor *d, struct listener *l)
{
    bool come = doctor_live_wait_for_tail(d, l, OPEN_MS);
    if (cli_request_header(&l->request, "content-encoding").len)
        doctor_bad(d, "events", doctor_live_unbuffered, "a proxy compresses event streams");
    else if (come)
        return true;
    else if (l->request.done && l->request.status != 200)
        doctor_bad(d, "events", NULL, "an event stream: status %ld", l->request.status);
    else
        doctor_bad(d, "events", doctor_live_unbuffered, "no event of an event stream after %u s", OPEN_MS / 1000);
    return false;
}

bool doctor_events(struct doctor *d)
{
    struct listener l;
    doctor_live_listen_to(d, &l);
    if (doctor_live_events_come(d, &l)) {
        uint64_t began = clock_monotonic_ms();
        if (!doctor_append(d)) {
            doctor_bad(d, "events", NULL, "an append: %s", doctor_said(d));
        } else {
            if (doctor_live_wait_for_tail(d, &l, DOCTOR_PROMPT_MS))
                doctor_good(d, "events", "an event arrives %llu ms after its append",
                            (unsigned long long)(clock_monotonic_ms() - began));
            else
                doctor_bad(d, "events", doctor_live_unbuffered, "no event %u s after its append: a proxy buffers",
                           DOCTOR_PROMPT_MS / 1000);
        }
    }
    doctor_live_forget(&l);
    return true;
}

bool doctor_poll(struct doctor *d)
{
    struct cli_request poll = {0};
    char tail[OFFSET_LEN + 1];
    doctor_live_start(d, &poll, "long-poll");
    cli_pause(d->cli, 500); /* it is waiting now */
    if (poll.done) {
        doctor_bad(d, "long-poll", "do not cache answers to ?live=", "answered before any append: status %ld",
                   poll.status);
        cli_request_clear(&poll);
        return true;
    }
    /* The append must meet a long-poll that waits already: a later one would be answered at once, like a plain read. */
    bool appended = doctor_append(d);
    uint64_t until = clock_monotonic_ms() + DOCTOR_PROMPT_MS, now;
    while (appended && !poll.done && !d->cli->interrupted && (now = clock_monotonic_ms()) < until)
        cli_turn(d->cli, until - now);
    doctor_tail(d, tail);
    if (!appended)
        doctor_bad(d, "long-poll", NULL, "an append: %s", doctor_said(d));
    else if (poll.done && poll.status == 200 && cli_request_says(&poll, "stream-next-offset", tail))
        doctor_good(d, "long-poll", "is answered after an append");
    else if (poll.done)
        doctor_bad(d, "long-poll", NULL, "status %ld, or another body than was appended", poll.status);
    else
        doctor_bad(d, "long-poll", "nginx: proxy_buffering off", "no answer %u s after an append",
                   DOCTOR_PROMPT_MS / 1000);
    cli_request_clear(&poll);
    return true;
}

/* ---- silence ---- */

static void doctor_live_say_events(struct doctor *d, const struct listener *l, double lived_s)
{
    if (l->request.done && l->request.failure)
        doctor_bad(d, "silence",
                   "nginx: proxy_read_timeout, HAProxy: timeout server and timeout tunnel: longer than live.heartbeat",
                   "an event stream was cut after %.1f s, not ended (%s)", lived_s, l->request.failure);
    else if (l->request.done && l->request.status != 200)
        doctor_bad(d, "silence", NULL, "an event stream: status %ld after %.1f s", l->request.status, lived_s);
    else if (l->request.done)
        doctor_good(d, "silence", "an event stream was ended properly after %.1f s (live.sse_lifetime)", lived_s);
    else
        doctor_good(d, "silence", "an event stream lives for %.1f s, with %zu heartbeats", lived_s, l->events.comments);
}

static void doctor_live_say_poll(struct doctor *d, const struct cli_request *poll, double lived_s)
{
    if (poll->done && (poll->failure || poll->status != 204))
        doctor_bad(d, "silence",
                   "nginx: proxy_read_timeout, HAProxy: timeout server: longer than live.long_poll_timeout",
                   "a long-poll was cut after %.1f s: status %ld%s%s", lived_s, poll->status, poll->failure ? ", " : "",
                   poll->failure ? poll->failure : "");
    else if (poll->done)
        doctor_good(d, "silence", "a long-poll was answered 204 after %.1f s (live.long_poll_timeout)", lived_s);
    else
        doctor_good(d, "silence", "a long-poll still waits after %.1f s", lived_s);
}

/* Nothing is appended for a while. */
bool doctor_idle(struct doctor *d)
{
    struct listener l;
    struct cli_request poll = {0};
    uint64_t began = clock_monotonic_ms(), until = began + d->idle_ms, now = began, events_ms = 0, poll_ms = 0;
    if (!d->idle_ms)
        return true;
    doctor_live_listen_to(d, &l);
    doctor_live_start(d, &poll, "long-poll");
    while (now < until && !(l.request.done && poll.done) && !d->cli->interrupted) {
        cli_turn(d->cli, until - now);
        now = clock_monotonic_ms();
        events_ms = l.request.done ? events_ms : now - began;
        poll_ms = poll.done ? poll_ms : now - began;
    }
    if (!d->cli->interrupted) {
        doctor_live_say_events(d, &l, (double)events_ms / 1000);
        doctor_live_say_poll(d, &poll, (double)poll_ms / 1000);
    }
    doctor_live_forget(&l);
    cli_request_clear(&poll);
    return true;
}
