/* An operation on one object, in steps:
 *
 *     PUT --> READ_BACK --> done            a file counts as put when the same bytes came back
 *     REMOVE --> done                       an object that is missing is removed
 *     GET --> got
 *     FETCH, a part after the other --> worker: check, into the cache --> fetched
 *
 * Happy path: credentials are read, libcurl signs and sends the request, a status of 2xx leads to the next step.
 *
 * Failure modes: No answer, a status or a code that may pass: the same request again after a pause that doubles,
 * ATTEMPTS in all; a fetch, which somebody waits for, gives up earlier. A redirection is followed where a signed
 * request may go (http_client_redirect()). A missing object: doubt() first finds out whether the bucket is ours
 * (s3_owner.c). Anything else fails the operation with a text for the log. The shard stops: every operation fails at
 * once. */
#include "shard/segments/s3_request.h"

#include <event2/event.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "shard/segments/object_folder.h"
#include "shard/segments/s3_credentials.h"
#include "shard/segments/s3_error.h"

#define ATTEMPTS 4
#define RETRY_MS 200                  /* doubled with every attempt, and half of it left to chance */
#define ANSWER_MAX ((size_t)64 << 10) /* of answers that are no segment */
#define TRIM_PART 8                   /* the cache is trimmed when so small a part of it is new */
#define PART ((uint64_t)8 << 20)      /* bytes of a fetch in one request */
#define REDIRECTS 5                   /* in a row */

/* ---- one request ---- */

static void s3_request_forget(struct s3_request *r)
{
    list_remove(&r->link);
    event_free(r->again);
    buf_clear(&r->whole);
    free(r);
}

void s3_request_end(struct s3_request *r, const char *failure, enum error error)
{
    if (r->fetched) /* an object that is not in the bucket may be in the folder, which may be another one now */
        r->fetched(r->ctx, error == ERR_SEGMENT_MISSING && !object_folder_is_ours(r->objects) ? ERR_SEGMENT_UNAVAILABLE
                                                                                              : error);
    else if (r->got)
        r->got(r->ctx, error, failure, (struct slice){0});
    else
        r->done(r->ctx, failure);
    s3_request_forget(r);
}

/* path:    https://s3.example.org/BUCKET/PREFIX + name
 * virtual: https://BUCKET.s3.example.org/PREFIX + name */
void s3_request_url(const struct config *cfg, const char *name, char *out, size_t size)
{
    const char *scheme = strstr(cfg->s3_endpoint, "://"), *host = scheme ? scheme + 3 : cfg->s3_endpoint;
    size_t len = strlen(host);
    while (len && host[len - 1] == '/')
        len--;
    int before = (int)(host - cfg->s3_endpoint);
    if (cfg->s3_style == S3_STYLE_VIRTUAL)
        snprintf(out, size, "%.*s%s.%.*s/%s%s", before, cfg->s3_endpoint, cfg->s3_bucket, (int)len, host,
                 cfg->s3_prefix, name);
    else
        snprintf(out, size, "%.*s%.*s/%s/%s%s", before, cfg->s3_endpoint, (int)len, host, cfg->s3_bucket,
                 cfg->s3_prefix, name);
}

static void s3_request_add_header(struct buf *headers, const char *name, const char *value)
{
    buf_add(headers, name, strlen(name));
    buf_add_slice(headers, SLICE(": "));
    buf_add(headers, value, strlen(value) + 1);
}

/* The signature covers this header and so the body: a proxy cannot change the bytes of a segment. */
static void s3_request_add_hash(struct buf *headers, struct slice body)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char digits[2 * SHA256_DIGEST_LENGTH + 1];
    SHA256((const unsigned char *)(body.data ? body.data : ""), body.len, hash);
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(digits + 2 * i, 3, "%02x", hash[i]);
    s3_request_add_header(headers, "x-amz-content-sha256", digits);
}

/* The bytes that the next request of a fetch asks for. */
static uint64_t s3_request_part_of(const struct s3_request *r)
{
    uint64_t left = r->size - buf_len(&r->whole);
    return left < PART ? left : PART;
}

static void s3_request_add_range(const struct s3_request *r, struct buf *headers)
{
    char range[64];
    uint64_t at = buf_len(&r->whole);
    snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)at,
             (unsigned long long)(at + s3_request_part_of(r) - 1));
    s3_request_add_header(headers, "Range", range);
}

static void s3_request_answered(void *ctx, const struct http_client_answer *answer);

static void s3_request_on_header(void *ctx, struct slice name, struct slice value)
{
    struct s3_request *r = ctx;
    if (slice_alike(name, SLICE("location")))
        snprintf(r->location, sizeof r->location, "%.*s", (int)value.len, value.data);
}

void s3_request_send_after(struct s3_request *r, uint64_t ms)
{
    const struct timeval pause = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    if (evtimer_add(r->again, &pause) != 0)
        fatalx("cannot set a timer");
}

void s3_request_send(struct s3_request *r)
{
    static const char *const methods[] = {
        [S3_PUT] = "PUT", [S3_READ_BACK] = "GET", [S3_REMOVE] = "DELETE", [S3_GET] = "GET", [S3_FETCH] = "GET"};
    const struct config *cfg = r->objects->cfg;
    struct s3_credentials credentials;
    char sigv4[128];
    if (!s3_credentials_find(cfg, &credentials)) {
        if (r->attempt++ == 0)
            s3_request_send_after(r, 0); /* the caller's callback never runs before its call returns */
        else
            s3_request_end(r, "there are no credentials for it", ERR_SEGMENT_UNAVAILABLE);
        return;
    }
    if (!r->redirects)
        s3_request_url(cfg, r->name, r->url, sizeof r->url);
    *r->location = '\0';
    snprintf(sigv4, sizeof sigv4, "aws:amz:%s:s3", cfg->s3_region);
    struct http_client_request question = {
        .url = r->url,
        .timeout_ms = cfg->s3_timeout,
        .most = ANSWER_MAX + (r->step == S3_READ_BACK ? r->file.len : r->size),
        .method = methods[r->step],
        .body = r->step == S3_PUT ? r->file : (struct slice){0},
        .aws_sigv4 = sigv4,
        .user = credentials.key,
        .password = credentials.secret,
        .ca_file = cfg->s3_ca_file,
        .header = s3_request_on_header,
        .done = s3_request_answered,
        .ctx = r,
    };
    s3_request_add_hash(&question.headers, question.body);
    if (r->step == S3_PUT)
        s3_request_add_header(&question.headers, "Content-Type", "application/octet-stream");
    if (r->step == S3_FETCH && r->size > PART)
        s3_request_add_range(r, &question.headers);
    if (*credentials.token)
        s3_request_add_header(&question.headers, "x-amz-security-token", credentials.token);
    r->asked_us = clock_monotonic_us();
    http_client_send(&r->objects->http_client, &question);
    explicit_bzero(&credentials, sizeof credentials);
}

static void s3_request_on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    s3_request_send(arg);
}

struct s3_request *s3_request_new(struct objects *objects, const char *name, enum s3_step step, void *ctx)
{
    struct s3_request *r = xcalloc(1, sizeof *r);
    *r = (struct s3_request){.objects = objects, .step = step, .ctx = ctx};
    snprintf(r->name, sizeof r->name, "%s", name);
    r->began_ms = clock_monotonic_ms();
    r->again = evtimer_new(objects->base, s3_request_on_again, r);
    if (!r->again)
        fatalx("no timer");
    list_add_first(&objects->requests, &r->link);
    return r;
}

/* ---- answers ---- */

static void s3_request_on_cached(void *ctx, const char *failure)
{
    struct s3_request *r = ctx;
    if (failure && !r->objects->stopping)
        log_error("segment %s, as fetched: %s", r->name, failure);
    s3_request_end(r, failure,
                   !failure                          ? ERR_NONE
                   : strcmp(failure, "damaged") == 0 ? ERR_SEGMENT_TRUNCATED
                                                     : ERR_SEGMENT_UNAVAILABLE);
}

/* The size of the cache is looked at now and then only: that reads the whole folder. 0: not now. */
static uint64_t s3_request_trim_to(struct objects *objects, uint64_t size)
{
    uint64_t most = objects->cfg->segment_cache_bytes;
    objects->fetched += size;
    if (objects->fetched < most / TRIM_PART)
        return 0;
    objects->fetched = 0;
    return most;
}

static void s3_request_take_answer(struct s3_request *r, const struct http_client_answer *answer)
{
    switch (r->step) {
    case S3_PUT:
        fault_point("segment.written");
        r->step = S3_READ_BACK;
        r->attempt = 0;
        s3_request_send(r);
        break;
    case S3_READ_BACK:
        fault_point("segment.put");
        s3_request_end(r, slice_equal(answer->body, r->file) ? NULL : "it does not read back as it was written",
                       ERR_NONE);
        break;
    case S3_REMOVE:
        fault_point("segment.removed");
        s3_request_end(r, NULL, ERR_NONE);
        break;
    case S3_GET:
        r->got(r->ctx, ERR_NONE, NULL, answer->body);
        s3_request_forget(r);
        break;
    case S3_FETCH:
        buf_add_slice(&r->whole, answer->body);
        r->attempt = 0;
        r->began_ms = clock_monotonic_ms();
        if (buf_len(&r->whole) < r->size)
            s3_request_send(r);
        else
            files_cache(r->objects->worker, r->cache, &r->object, &r->whole, r->checksum,
                        s3_request_trim_to(r->objects, r->size), s3_request_on_cached, r);
        break;
    }
}

/* A new bucket is elsewhere for a while, and the store says where. */
static bool s3_request_is_redirected(struct s3_request *r, const struct http_client_answer *answer)
{
    bool moved = !answer->failure && (answer->status == 307 || answer->status == 308) && *r->location;
    if (!moved || r->redirects == REDIRECTS || r->objects->stopping)
        return false;
    char *to = http_client_redirect(r->url, r->location, r->objects->cfg->s3_endpoint);
    if (!to || strlen(to) >= sizeof r->url) {
        free(to);
        return false;
    }
    strcpy(r->url, to);
    free(to);
    return true;
}

/* A fetch has a client waiting: a store that hangs is asked twice at most. */
static bool s3_request_is_late(const struct s3_request *r)
{
    return r->step == S3_FETCH && clock_monotonic_ms() - r->began_ms >= 2 * r->objects->cfg->s3_timeout;
}

static uint64_t s3_request_pause_of(const struct s3_request *r)
{
    /* Shards that failed together do not come back together. */
    uint64_t pause = (uint64_t)RETRY_MS << r->attempt;
    uint16_t chance = 0;
    (void)!getrandom(&chance, sizeof chance, 0);
    return pause / 2 + pause / 2 * chance / UINT16_MAX;
}

/* ---- failures ---- */

static void s3_request_fail(struct s3_request *r, const struct http_client_answer *answer)
{
    char why[256], code[S3_CODE_MAX];
    bool missing = s3_error_is_missing(answer);
    if (missing && r->doubt && r->doubt(r)) /* it waits until the owner is known, and is ended then */
        return;
    s3_error_code(answer, code);
    if (answer->failure)
        snprintf(why, sizeof why, "%s", answer->failure);
    else
        snprintf(why, sizeof why, "status %ld%s%s%s%.128s", answer->status, *code ? " " : "", code,
                 *r->location ? ", which points to " : "", r->location);
    if (r->fetched && !missing && !r->objects->unreachable && !r->objects->stopping)
        log_error("the store of segments does not answer: %s", why);
    r->objects->unreachable |= !missing;
    s3_request_end(r, why, missing ? ERR_SEGMENT_MISSING : ERR_SEGMENT_UNAVAILABLE);
}

static void s3_request_count_answer(const struct s3_request *r, const struct http_client_answer *answer)
{
    static const uint8_t calls[] = {
        [S3_PUT] = METRIC_S3_CALL_PUT, [S3_READ_BACK] = METRIC_S3_CALL_READ_BACK, [S3_REMOVE] = METRIC_S3_CALL_REMOVE,
        [S3_GET] = METRIC_S3_CALL_GET, [S3_FETCH] = METRIC_S3_CALL_FETCH,
    };
    struct metrics *metrics = r->objects->metrics;
    unsigned result = answer->failure               ? METRIC_S3_RESULT_NO_ANSWER
                      : s3_error_is_missing(answer) ? METRIC_S3_RESULT_MISSING
                      : answer->status >= 500       ? METRIC_S3_RESULT_FAILED
                      : answer->status >= 300       ? METRIC_S3_RESULT_REFUSED
                                                    : METRIC_S3_RESULT_OK;
    metrics_add(metrics, METRIC_S3_CALLS + (unsigned)calls[r->step] * METRIC_S3_RESULT_COUNT + result, 1);
    metrics_observe_us(metrics, METRIC_S3_US + (unsigned)calls[r->step] * METRICS_HISTOGRAM,
                       clock_monotonic_us() - r->asked_us);
}

static void s3_request_answered(void *ctx, const struct http_client_answer *answer)
{
    struct s3_request *r = ctx;
    s3_request_count_answer(r, answer);
    bool good = !answer->failure && answer->status >= 200 && answer->status < 300;
    good |= r->step == S3_REMOVE && s3_error_is_missing(answer);
    bool whole = answer->body.len == r->size && !buf_len(&r->whole); /* some stores ignore Range */
    bool cut = good && r->step == S3_FETCH && answer->body.len != s3_request_part_of(r) && !whole;
    if (good)
        r->objects->unreachable = false;
    if (s3_request_is_redirected(r, answer)) {
        r->redirects++;
        s3_request_send(r);
        return;
    }
    r->redirects = 0;
    if (good && !cut) {
        s3_request_take_answer(r, answer);
    } else if (r->objects->stopping || ++r->attempt >= ATTEMPTS || !(cut || s3_error_is_transient(answer)) ||
               s3_request_is_late(r)) {
        if (cut)
            s3_request_end(r, "it has another length", ERR_SEGMENT_TRUNCATED);
        else
            s3_request_fail(r, answer);
    } else {
        s3_request_send_after(r, s3_request_pause_of(r));
    }
}
