/* The doctor's checks that are a request or two. They go from the outside in:
 *
 *     health      does anything answer            PUT, path   does a stream come to be, under the path that was asked
 *     headers     Producer-*, Stream-* pass       HEAD, body  methods and a body of more than 1 MiB pass
 *     bytes       are read as they were written   ETag        304 for an unchanged read
 *     conditions  of writes pass                  no-store    is not kept by a cache
 *     tail        the last message is found       keep-alive  connections are used again
 *
 * Each check uses the stream that doctor_create() has made, and knows from `sent` what must be in it. A check
 * returns false only if the later ones make no sense (no server, no stream); a bad verdict lets the others go on. An
 * error in streamd's own form (a status with a code) means that the proxy passed the request, so the advice differs. */
#include <stdio.h>

#include "common/offset.h"
#include "common/random.h"
#include "router/cli/doctor.h"

#define BODY_BYTES ((1u << 20) + (64u << 10)) /* more than proxies accept by default */

static bool doctor_plain_has_offset(const struct doctor *d)
{
    char tail[OFFSET_LEN + 1];
    doctor_tail(d, tail);
    return cli_request_says(&d->request, "stream-next-offset", tail);
}

/* streamd itself has answered, with an error. */
static bool doctor_plain_is_ours(struct doctor *d)
{
    return strchr(doctor_said(d) + sizeof "status " - 1, ' ') && !d->request.failure;
}

bool doctor_health(struct doctor *d)
{
    if (doctor_ask(d, "GET", "/health", (struct slice){0}, 200) &&
        slice_equal(buf_slice(&d->request.text), SLICE("ok")))
        doctor_good(d, "health", "%s answers", d->cli->url);
    else if (d->request.failure)
        doctor_bad(d, "health", NULL, "%s: %s", d->cli->url, doctor_said(d));
    else
        doctor_warn(d, "health", "/health: %s; the proxy may not pass it on", doctor_said(d));
    return !d->request.failure;
}

/* streamd says in Location what it was asked for: a path that was decoded on the way names another stream. */
static void doctor_plain_look_at_location(struct doctor *d)
{
    struct slice location = cli_request_header(&d->request, "location"), path = slice_str(d->path);
    const char *authority = strstr(d->cli->url, "://") + 3;
    size_t host = strcspn(authority, "/");
    bool kept =
        location.len >= path.len && slice_equal(slice_of(location.data + location.len - path.len, path.len), path);
    const char *named = location.len ? strstr(location.data, "://") : NULL;
    if (!kept)
        doctor_bad(d, "path", "nginx: proxy_pass without a path behind the host", "percent-encoding was removed: %.*s",
                   (int)location.len, location.data ? location.data : "");
    else if (named && (strncmp(named + 3, authority, host) != 0 || named[3 + host] != '/'))
        doctor_warn(d, "path", "passes, but Host does not: nginx: proxy_set_header Host $http_host");
    else
        doctor_good(d, "path", "percent-encoding and Host pass");
}

bool doctor_create(struct doctor *d)
{
    cli_request_add_header(&d->request, "Content-Type", "text/plain");
    /* If the doctor dies, or a proxy blocks DELETE, the stream still goes after ten minutes. */
    cli_request_add_header(&d->request, "Stream-TTL", "600");
    if (doctor_ask(d, "PUT", "", SLICE(""), 201)) {
        struct offset tail = {0};
        d->made = true;
        if (offset_parse(cli_request_header(&d->request, "stream-next-offset"), &tail))
            d->life = tail.life;
        doctor_good(d, "PUT", "created the stream %s", d->path);
        doctor_plain_look_at_location(d);
    } else if (d->request.status == 401) {
        doctor_bad(d, "PUT", "give --token, of the project that --project names; a proxy must pass Authorization on",
                   "%s%s", doctor_said(d), d->token ? ", although a token was sent" : "");
    } else {
        doctor_bad(d, "PUT", doctor_plain_is_ours(d) ? NULL : "let the methods PUT, POST, HEAD and DELETE through",
                   "%s", doctor_said(d));
    }
    return d->made;
}

static bool doctor_plain_produce(struct doctor *d, long status)
{
    char seq[24];
    snprintf(seq, sizeof seq, "%llu", (unsigned long long)d->producer);
    doctor_reset(d);
    cli_request_add_header(&d->request, "Content-Type", "text/plain");
    cli_request_add_header(&d->request, "Producer-Id", "doctor");
    cli_request_add_header(&d->request, "Producer-Epoch", "0");
    cli_request_add_header(&d->request, "Producer-Seq", seq);
    return doctor_ask(d, "POST", "", SLICE("once\n"), status);
}

bool doctor_producer(struct doctor *d)
{
    static const char *const advice = "pass all headers in both directions: Producer-*, Stream-*, ETag, Authorization";
    bool first = doctor_plain_produce(d, 200) && cli_request_says(&d->request, "producer-seq", "0") &&
                 doctor_plain_has_offset(d);
    if (!first) {
        doctor_bad(d, "headers", advice, "an append with Producer-* headers: %s%s", doctor_said(d),
                   d->request.status == 204   ? ", as if it had none"
                   : d->request.status == 200 ? " without its headers"
                                              : "");
        return true;
    }
    size_t before = buf_len(&d->sent);
    bool again = doctor_plain_produce(d, 204);
    d->sent.end = d->sent.start + before; /* it is there once */
    if (again)
        doctor_good(d, "headers", "Producer-* and Stream-* pass in both directions; a repeated append counts once");
    else
        doctor_bad(d, "headers", advice, "the same append again: %s, not 204", doctor_said(d));
    return true;
}

bool doctor_head(struct doctor *d)
{
    if (!doctor_ask(d, "HEAD", "", (struct slice){0}, 200))
        doctor_bad(d, "HEAD", "let the method HEAD through", "%s", doctor_said(d));
    else if (!doctor_plain_has_offset(d))
        doctor_bad(d, "HEAD", "pass headers that begin with Stream-", "no Stream-Next-Offset, or not the newest");
    else
        doctor_good(d, "HEAD", "returns the tail");
    return true;
}

static void doctor_plain_fill(struct buf *body)
{
    /* A fixed seed gives every run the same bytes; random text hardly compresses, so its size on the wire stays. */
    uint64_t random = 88172645463325252u;
    while (buf_len(body) < BODY_BYTES) {
        uint64_t number = random_next(&random);
        buf_add_byte(body, (uint8_t)(number % 64 ? ' ' + number % 95 : '\n'));
    }
}

bool doctor_body(struct doctor *d)
{
    struct buf body = {0};
    doctor_plain_fill(&body);
    cli_request_add_header(&d->request, "Content-Type", "text/plain");
    if (doctor_ask(d, "POST", "", buf_slice(&body), 204))
        doctor_good(d, "body", "an append of %u bytes passes", BODY_BYTES);
    else if (doctor_plain_is_ours(d))
        doctor_warn(d, "body", "an append of %u bytes: %s, says streamd itself", BODY_BYTES, doctor_said(d));
    else
        doctor_bad(d, "body", "nginx: client_max_body_size, at least streamd's limits.max_body",
                   "an append of %u bytes: %s", BODY_BYTES, doctor_said(d));
    buf_clear(&body);
    return true;
}

/* Reads it all, or until it is something else. False: an answer was none, and it was said. */
static bool doctor_plain_read_all(struct doctor *d, struct buf *got)
{
    char query[64], offset[OFFSET_LEN + 1] = "-1";
    do {
        snprintf(query, sizeof query, "?offset=%s", offset);
        doctor_reset(d);
        struct slice next;
        if (!doctor_ask(d, "GET", query, (struct slice){0}, 200)) {
            doctor_bad(d, "bytes", NULL, "a read: %s", doctor_said(d));
            return false;
        }
        next = cli_request_header(&d->request, "stream-next-offset");
        if (next.len != OFFSET_LEN || memcmp(next.data, offset, OFFSET_LEN) == 0)
            break;
        memcpy(offset, next.data, OFFSET_LEN);
        buf_add_slice(got, buf_slice(&d->request.text));
    } while (buf_len(&d->request.text) && slice_begins(buf_slice(&d->sent), buf_slice(got)) &&
             !cli_request_says(&d->request, "stream-up-to-date", "true"));
    return true;
}

bool doctor_bytes(struct doctor *d)
{
    struct buf got = {0};
    if (doctor_plain_read_all(d, &got)) {
        if (slice_equal(buf_slice(&got), buf_slice(&d->sent)))
            doctor_good(d, "bytes", "%zu bytes are read as they were written", buf_len(&got));
        else
            doctor_bad(d, "bytes", "do not compress, rewrite or cache bodies",
                       "%zu bytes were written, and other bytes are read", buf_len(&d->sent));
    }
    buf_clear(&got);
    return true;
}

bool doctor_etag(struct doctor *d)
{
    char etag[128] = "";
    if (doctor_ask(d, "GET", "?offset=-1", (struct slice){0}, 200)) {
        struct slice value = cli_request_header(&d->request, "etag");
        snprintf(etag, sizeof etag, "%.*s", (int)value.len, value.data ? value.data : "");
    }
    if (!*etag) {
        doctor_bad(d, "ETag", "pass ETag and If-None-Match", "a read has no ETag");
        return true;
    }
    doctor_reset(d);
    cli_request_add_header(&d->request, "If-None-Match", etag);
    if (doctor_ask(d, "GET", "?offset=-1", (struct slice){0}, 304))
        doctor_good(d, "ETag", "an unchanged read is answered 304");
    else
        doctor_bad(d, "ETag", "pass ETag and If-None-Match", "a read with If-None-Match: %s, not 304", doctor_said(d));
    return true;
}

/* An append on a condition that does not hold. False: it was not refused with this status, and that was said. */
static bool doctor_plain_refused(struct doctor *d, const char *header, const char *value, long status)
{
    doctor_reset(d);
    cli_request_add_header(&d->request, "Content-Type", "text/plain");
    cli_request_add_header(&d->request, header, value);
    if (doctor_ask(d, "POST", "", SLICE("unwanted\n"), status))
        return true;
    doctor_bad(d, "conditions", "pass the headers Stream-Expected-Offset, If-Match and Stream-Incarnation on",
               "an append with %s of another tail: %s, not %ld", header, doctor_said(d), status);
    return false;
}

bool doctor_conditions(struct doctor *d)
{
    if (doctor_plain_refused(d, "Stream-Expected-Offset", "0000000000000000_0000000000000000", 409) &&
        doctor_plain_refused(d, "If-Match", "\"another\"", 412))
        doctor_good(d, "conditions", "appends that expect another tail are refused");
    return true;
}

/* Each twice: a cache may store an answer a little after its client has it. False: what is wrong was said. */
static bool doctor_plain_offer_to_caches(struct doctor *d)
{
    for (int i = 0; i < 2; i++) {
        doctor_reset(d);
        if (!doctor_ask(d, "HEAD", "", (struct slice){0}, 200))
            return false;
        doctor_reset(d);
        (void)!doctor_ask(d, "GET", "?offset=now", (struct slice){0}, 200);
    }
    return true;
}

/* Answers that say no-store are never to be kept. */
bool doctor_stale(struct doctor *d)
{
    static const char *const advice = "nginx: proxy_cache_convert_head off with $request_method in proxy_cache_key; no "
                                      "proxy_ignore_headers Cache-Control";
    bool head, now;
    if (!doctor_plain_offer_to_caches(d))
        return true;
    if (!doctor_append(d)) {
        doctor_bad(d, "append", NULL, "%s", doctor_said(d));
        return true;
    }
    doctor_reset(d);
    head = doctor_ask(d, "HEAD", "", (struct slice){0}, 200) && doctor_plain_has_offset(d);
    doctor_reset(d);
    now = doctor_ask(d, "GET", "?offset=now", (struct slice){0}, 200) && doctor_plain_has_offset(d);
    if (head && now)
        doctor_good(d, "no-store", "answers with no-store are not cached");
    else
        doctor_bad(d, "no-store", advice, "%s is the same after an append as before",
                   head ? "GET ?offset=now" : "HEAD");
    return true;
}

/* The query reaches streamd, and its own headers come back. */
bool doctor_last(struct doctor *d)
{
    if (!doctor_append(d))
        return true; /* it was said */
    struct slice all = buf_slice(&d->sent);
    doctor_reset(d);
    bool answered = doctor_ask(d, "GET", "?tail=1", (struct slice){0}, 200);
    struct slice last = buf_slice(&d->request.text);
    if (!answered)
        doctor_bad(d, "tail", NULL, "GET ?tail=1: %s", doctor_said(d));
    else if (!last.len || last.len >= all.len ||
             !slice_equal(last, slice_of(all.data + all.len - last.len, last.len)) ||
             !cli_request_header(&d->request, "stream-start-offset").len)
        doctor_bad(d, "tail", "pass queries and headers that begin with Stream- unchanged",
                   "GET ?tail=1 is not the last message, or has no Stream-Start-Offset");
    else
        doctor_good(d, "tail", "the last message is read from the end");
    return true;
}

/* The header that tells of a cache, if one does. */
static const char *doctor_plain_cache_header(const struct cli_request *request, struct slice *value)
{
    static const char *const names[] = {"x-cache",         "x-cache-status", "x-proxy-cache",
                                        "cf-cache-status", "cache-status",   "age"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        *value = cli_request_header(request, names[i]);
        if (value->len)
            return names[i];
    }
    return NULL;
}

bool doctor_cache(struct doctor *d)
{
    struct slice value;
    const char *name = NULL;
    for (unsigned i = 0; i < 2; i++) {
        doctor_reset(d);
        if (doctor_ask(d, "GET", "?offset=-1", (struct slice){0}, 200))
            name = doctor_plain_cache_header(&d->request, &value);
    }
    if (name)
        doctor_good(d, "cache", "the same read twice: %s: %.*s%s", name, (int)value.len, value.data,
                    d->token ? " (reads with a token are not shared)" : "");
    else
        doctor_good(d, "cache", "no sign of a cache");
    return true;
}

bool doctor_connections(struct doctor *d)
{
    if (d->reused)
        doctor_good(d, "keep-alive", "connections are reused");
    else
        doctor_warn(d, "keep-alive", "every request needed a new connection: is keep-alive off?");
    return true;
}

bool doctor_delete(struct doctor *d)
{
    doctor_reset(d);
    d->made = false;
    if (!doctor_ask(d, "DELETE", "", (struct slice){0}, 204)) {
        if (doctor_plain_is_ours(d))
            doctor_warn(d, "DELETE", "%s; the stream expires in ten minutes", doctor_said(d));
        else
            doctor_bad(d, "DELETE", "let the method DELETE through", "%s; the stream expires in ten minutes",
                       doctor_said(d));
        return true;
    }
    doctor_reset(d);
    if (doctor_ask(d, "HEAD", "", (struct slice){0}, 404))
        doctor_good(d, "DELETE", "the stream is gone");
    else
        doctor_bad(d, "DELETE", "nginx: proxy_cache_convert_head off, with $request_method in proxy_cache_key",
                   "the stream is deleted, and HEAD says %s", doctor_said(d));
    return true;
}
