#include "shard/segments/object_s3.h"

#include <ctype.h>
#include <event2/event.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "shard/store/store_segment.h"

#define ATTEMPTS 4
#define RETRY_MS 200                  /* doubled with every attempt, and half of it left to chance */
#define ANSWER_MAX ((size_t)64 << 10) /* of answers that are no segment */
#define TRIM_PART 8                   /* the cache is looked through when so small a part of it is new */
#define PART ((uint64_t)8 << 20)      /* of a fetch, a request each */
#define KEY_MAX 512
#define TOKEN_MAX 4096
#define URL_MAX 4096
#define DISTRUST_MS 1000 /* a bucket that is not ours is not asked again for so long */
#define REDIRECTS 5      /* in a row */

enum s3_step { S3_PUT, S3_READ_BACK, S3_REMOVE, S3_GET, S3_FETCH };

struct s3_request {
    struct s3_request *prev, *next;
    struct objects *objects;
    char name[OBJECT_NAME_MAX];
    struct object object; /* of a fetch */
    enum s3_step step;
    struct slice file; /* of a put */
    uint64_t size;     /* of a fetch; of a get: the most */
    uint64_t checksum; /* of a fetch */
    struct buf whole;  /* of a fetch: what has come, a part after the other */
    char cache[OBJECT_ROOT_MAX];
    unsigned attempt;
    char url[URL_MAX], location[URL_MAX]; /* of the last request, and where its answer points to */
    unsigned redirects;                   /* in a row */
    uint64_t began_ms;                    /* monotonic */
    uint64_t asked_us;                    /* the last time */
    struct event *again;
    bool of_owner; /* it tells whose the bucket is */
    bool awaits;   /* that is to be known first */
    bool missing;  /* the object is, if the bucket is ours */
    bool judged;   /* that is known now */

    objects_done *done;
    objects_fetched *fetched;
    s3_got *got;
    void *ctx;
};

/* ---- who we are ---- */

struct credentials {
    char key[KEY_MAX], secret[KEY_MAX], token[TOKEN_MAX];
};

static void object_s3_take_credential(struct credentials *c, struct slice name, struct slice value)
{
    char *to = slice_equal(name, SLICE("aws_access_key_id"))       ? c->key
               : slice_equal(name, SLICE("aws_secret_access_key")) ? c->secret
               : slice_equal(name, SLICE("aws_session_token"))     ? c->token
                                                                   : NULL;
    size_t room = to == c->token ? sizeof c->token : sizeof c->key;
    if (to && value.len < room) {
        memcpy(to, value.data, value.len);
        to[value.len] = '\0';
    }
}

static struct slice object_s3_trimmed(const char *text, size_t len)
{
    while (len && isspace((unsigned char)*text)) {
        text++;
        len--;
    }
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    return slice_of(text, len);
}

/* As ~/.aws/credentials: what is before the first section, and in [default]. */
static bool object_s3_read_credentials(const char *path, struct credentials *c)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    bool ours = true;
    FILE *file = fopen(path, "re");
    while (file && (len = getline(&line, &room, file)) >= 0) {
        struct slice text = object_s3_trimmed(line, (size_t)len);
        const char *equals = memchr(line, '=', (size_t)len);
        if (text.len && *text.data == '[')
            ours = slice_equal(text, SLICE("[default]"));
        else if (ours && equals)
            object_s3_take_credential(c, object_s3_trimmed(line, (size_t)(equals - line)),
                                      object_s3_trimmed(equals + 1, (size_t)(line + len - equals) - 1));
    }
    if (line)
        explicit_bzero(line, room);
    free(line);
    if (file)
        fclose(file);
    return file;
}

static void object_s3_take_environment(struct credentials *c, const char *variable, const char *name)
{
    const char *value = getenv(variable);
    if (value)
        object_s3_take_credential(c, slice_str(name), slice_str(value));
}

static bool object_s3_find_credentials(const struct config *cfg, struct credentials *c)
{
    char path[4096];
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    *c = (struct credentials){0};
    snprintf(path, sizeof path, "%s/s3", folder ? folder : "");
    if (*cfg->s3_credentials)
        (void)!object_s3_read_credentials(cfg->s3_credentials, c);
    else if (!folder || !object_s3_read_credentials(path, c)) {
        object_s3_take_environment(c, "AWS_ACCESS_KEY_ID", "aws_access_key_id");
        object_s3_take_environment(c, "AWS_SECRET_ACCESS_KEY", "aws_secret_access_key");
        object_s3_take_environment(c, "AWS_SESSION_TOKEN", "aws_session_token");
    }
    return *c->key && *c->secret;
}

/* ---- requests ---- */

static void object_s3_forget(struct s3_request *r)
{
    *(r->prev ? &r->prev->next : &r->objects->requests) = r->next;
    if (r->next)
        r->next->prev = r->prev;
    event_free(r->again);
    buf_clear(&r->whole);
    free(r);
}

static void object_s3_conclude(struct s3_request *r, const char *failure, enum error error)
{
    if (r->fetched) /* what is not in the bucket may be in the folder */
        r->fetched(r->ctx,
                   error == ERR_SEGMENT_MISSING && !objects_have_folder(r->objects) ? ERR_SEGMENT_UNAVAILABLE : error);
    else if (r->got)
        r->got(r->ctx, error, failure, (struct slice){0});
    else
        r->done(r->ctx, failure);
    object_s3_forget(r);
}

static void object_s3_url_of(const struct s3_request *r, char *out, size_t size)
{
    const struct config *cfg = r->objects->cfg;
    const char *scheme = strstr(cfg->s3_endpoint, "://"), *host = scheme ? scheme + 3 : cfg->s3_endpoint;
    size_t len = strlen(host);
    while (len && host[len - 1] == '/')
        len--;
    int before = (int)(host - cfg->s3_endpoint);
    if (cfg->s3_style == S3_STYLE_VIRTUAL)
        snprintf(out, size, "%.*s%s.%.*s/%s%s", before, cfg->s3_endpoint, cfg->s3_bucket, (int)len, host,
                 cfg->s3_prefix, r->name);
    else
        snprintf(out, size, "%.*s%.*s/%s/%s%s", before, cfg->s3_endpoint, (int)len, host, cfg->s3_bucket,
                 cfg->s3_prefix, r->name);
}

static void object_s3_add_header(struct buf *headers, const char *name, const char *value)
{
    buf_add(headers, name, strlen(name));
    buf_add_slice(headers, SLICE(": "));
    buf_add(headers, value, strlen(value) + 1);
}

static void object_s3_add_hash(struct buf *headers, struct slice body)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char digits[2 * SHA256_DIGEST_LENGTH + 1];
    SHA256((const unsigned char *)(body.data ? body.data : ""), body.len, hash);
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(digits + 2 * i, 3, "%02x", hash[i]);
    object_s3_add_header(headers, "x-amz-content-sha256", digits);
}

/* The bytes that the next request of a fetch asks for. */
static uint64_t object_s3_part_of(const struct s3_request *r)
{
    uint64_t left = r->size - buf_len(&r->whole);
    return left < PART ? left : PART;
}

static void object_s3_add_range(const struct s3_request *r, struct buf *headers)
{
    char range[64];
    uint64_t at = buf_len(&r->whole);
    snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)at,
             (unsigned long long)(at + object_s3_part_of(r) - 1));
    object_s3_add_header(headers, "Range", range);
}

static void object_s3_answered(void *ctx, const struct http_client_answer *answer);

static void object_s3_on_header(void *ctx, struct slice name, struct slice value)
{
    struct s3_request *r = ctx;
    if (slice_alike(name, SLICE("location")))
        snprintf(r->location, sizeof r->location, "%.*s", (int)value.len, value.data);
}

static void object_s3_pause_before(struct s3_request *r, uint64_t ms)
{
    const struct timeval pause = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    if (evtimer_add(r->again, &pause) != 0)
        fatalx("cannot set a timer");
}

static void object_s3_ask(struct s3_request *r)
{
    static const char *const methods[] = {
        [S3_PUT] = "PUT", [S3_READ_BACK] = "GET", [S3_REMOVE] = "DELETE", [S3_GET] = "GET", [S3_FETCH] = "GET"};
    const struct config *cfg = r->objects->cfg;
    struct credentials credentials;
    char sigv4[128];
    if (!object_s3_find_credentials(cfg, &credentials)) {
        if (r->attempt++ == 0)
            object_s3_pause_before(r, 0); /* whoever asks is not told before it has asked */
        else
            object_s3_conclude(r, "there are no credentials for it", ERR_SEGMENT_UNAVAILABLE);
        return;
    }
    if (!r->redirects)
        object_s3_url_of(r, r->url, sizeof r->url);
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
        .header = object_s3_on_header,
        .done = object_s3_answered,
        .ctx = r,
    };
    object_s3_add_hash(&question.headers, question.body);
    if (r->step == S3_PUT)
        object_s3_add_header(&question.headers, "Content-Type", "application/octet-stream");
    if (r->step == S3_FETCH && r->size > PART)
        object_s3_add_range(r, &question.headers);
    if (*credentials.token)
        object_s3_add_header(&question.headers, "x-amz-security-token", credentials.token);
    r->asked_us = clock_monotonic_us();
    http_client_send(&r->objects->http_client, &question);
    explicit_bzero(&credentials, sizeof credentials);
}

static void object_s3_on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    object_s3_ask(arg);
}

static struct s3_request *object_s3_begin(struct objects *objects, const char *name, enum s3_step step, void *ctx)
{
    struct s3_request *r = xcalloc(1, sizeof *r);
    *r = (struct s3_request){.objects = objects, .step = step, .ctx = ctx, .next = objects->requests};
    snprintf(r->name, sizeof r->name, "%s", name);
    r->began_ms = clock_monotonic_ms();
    r->again = evtimer_new(objects->base, object_s3_on_again, r);
    if (!r->again)
        fatalx("no timer");
    if (objects->requests)
        objects->requests->prev = r;
    objects->requests = r;
    return r;
}

/* ---- answers ---- */

static void object_s3_on_cached(void *ctx, const char *failure)
{
    struct s3_request *r = ctx;
    if (failure && !r->objects->stopping)
        log_error("segment %s: as it was fetched: %s", r->name, failure);
    object_s3_conclude(r, failure,
                       !failure                          ? ERR_NONE
                       : strcmp(failure, "damaged") == 0 ? ERR_SEGMENT_TRUNCATED
                                                         : ERR_SEGMENT_UNAVAILABLE);
}

/* How much the cache may have is looked at now and then. */
static uint64_t object_s3_trim_to(struct objects *objects, uint64_t size)
{
    uint64_t most = objects->cfg->segment_cache_bytes;
    objects->fetched += size;
    if (objects->fetched < most / TRIM_PART)
        return 0;
    objects->fetched = 0;
    return most;
}

static void object_s3_take_answer(struct s3_request *r, const struct http_client_answer *answer)
{
    switch (r->step) {
    case S3_PUT:
        fault_point("segment.written");
        r->step = S3_READ_BACK;
        r->attempt = 0;
        object_s3_ask(r);
        break;
    case S3_READ_BACK:
        fault_point("segment.put");
        object_s3_conclude(r, slice_equal(answer->body, r->file) ? NULL : "it does not read back as it was written",
                           ERR_NONE);
        break;
    case S3_REMOVE:
        fault_point("segment.removed");
        object_s3_conclude(r, NULL, ERR_NONE);
        break;
    case S3_GET:
        r->got(r->ctx, ERR_NONE, NULL, answer->body);
        object_s3_forget(r);
        break;
    case S3_FETCH:
        buf_add_slice(&r->whole, answer->body);
        r->attempt = 0;
        r->began_ms = clock_monotonic_ms();
        if (buf_len(&r->whole) < r->size)
            object_s3_ask(r);
        else
            files_cache(r->objects->worker, r->cache, &r->object, &r->whole, r->checksum,
                        object_s3_trim_to(r->objects, r->size), object_s3_on_cached, r);
        break;
    }
}

/* What S3 calls its error; "" where there is none, as in the answer of something else in front of it. */
static void object_s3_code_of(const struct http_client_answer *answer, char code[64])
{
    static const char tag[] = "<Code>";
    struct slice body = answer->body;
    const char *at = body.data ? memmem(body.data, body.len, tag, sizeof tag - 1) : NULL;
    size_t len = 0;
    for (at = at ? at + sizeof tag - 1 : NULL; at && at < body.data + body.len && isalnum((unsigned char)*at); at++)
        if (len < 63)
            code[len++] = *at;
    code[len] = '\0';
}

static bool object_s3_has_code(const struct http_client_answer *answer, const char *const *codes)
{
    char code[64];
    object_s3_code_of(answer, code);
    while (*codes && strcmp(*codes, code) != 0)
        codes++;
    return *codes;
}

/* Only this says that the object is not there: a bucket that is not there, a proxy and a web server answer 404 too. */
static bool object_s3_is_missing(const struct http_client_answer *answer)
{
    static const char *const codes[] = {"NoSuchKey", NULL};
    return !answer->failure && answer->status == 404 && object_s3_has_code(answer, codes);
}

/* What S3's clients ask again for, whatever its status. */
static bool object_s3_may_help(const struct http_client_answer *answer)
{
    static const char *const codes[] = {"RequestTimeout",
                                        "RequestTimeoutException",
                                        "InternalError",
                                        "SlowDown",
                                        "ServiceUnavailable",
                                        "OperationAborted",
                                        "Throttling",
                                        "ThrottlingException",
                                        "RequestLimitExceeded",
                                        "BandwidthLimitExceeded",
                                        "RequestThrottled",
                                        "PriorRequestNotComplete",
                                        "IncompleteBody",
                                        "TooManyRequests",
                                        "RequestThrottledException",
                                        NULL};
    return answer->failure || answer->status >= 500 || answer->status == 429 || answer->status == 408 ||
           object_s3_has_code(answer, codes);
}

/* A new bucket is elsewhere for a while, and the store says where. */
static bool object_s3_is_redirected(struct s3_request *r, const struct http_client_answer *answer)
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

/* Somebody waits for a fetch: where the store hangs, it is asked twice. */
static bool object_s3_is_late(const struct s3_request *r)
{
    return r->step == S3_FETCH && clock_monotonic_ms() - r->began_ms >= 2 * r->objects->cfg->s3_timeout;
}

static uint64_t object_s3_pause_of(const struct s3_request *r)
{
    uint64_t pause = (uint64_t)RETRY_MS << r->attempt;
    uint16_t chance = 0;
    (void)!getrandom(&chance, sizeof chance, 0);
    return pause / 2 + pause / 2 * chance / UINT16_MAX;
}

/* ---- whose the bucket is ---- */

static bool object_s3_is_ours(const struct objects *objects)
{
    return !*objects->owner.text || objects->trusted;
}

static void object_s3_place_of(const struct objects *objects, char where[OWNER_WHERE_MAX])
{
    const struct config *cfg = objects->cfg;
    snprintf(where, OWNER_WHERE_MAX, "%s, bucket %s, prefix \"%s\"", cfg->s3_endpoint, cfg->s3_bucket, cfg->s3_prefix);
}

static struct s3_request *object_s3_next_judged(struct objects *objects)
{
    struct s3_request *r = objects->requests;
    while (r && !r->judged)
        r = r->next;
    if (r)
        r->judged = false;
    return r;
}

/* All that waited goes on, or fails. What that brings waits for the next time. */
static void object_s3_judge(struct objects *objects, const char *failure)
{
    struct s3_request *r;
    objects->asks_owner = false;
    objects->trusted = !failure;
    for (r = objects->requests; r; r = r->next) {
        r->judged = r->awaits;
        r->awaits = false;
    }
    while ((r = object_s3_next_judged(objects)))
        if (failure)
            object_s3_conclude(r, failure, ERR_SEGMENT_UNAVAILABLE);
        else if (r->missing)
            object_s3_conclude(r, "status 404 NoSuchKey", ERR_SEGMENT_MISSING);
        else
            object_s3_ask(r);
}

static void object_s3_believe(struct objects *objects)
{
    if (objects->refused)
        log_info("the bucket %s is this server's again", objects->cfg->s3_bucket);
    objects->refused = false;
    object_s3_judge(objects, NULL);
}

static void object_s3_disbelieve(struct objects *objects, const char *what, const char *more)
{
    char where[OWNER_WHERE_MAX], why[OWNER_WHY_MAX];
    object_s3_place_of(objects, where);
    snprintf(why, sizeof why, "s3.bucket or s3.prefix: %s %s%s", where, what, more);
    if (!objects->refused)
        log_error("%s", why);
    objects->refused = objects->unreachable = true;
    object_s3_judge(objects, why);
}

static void object_s3_note_and_believe(struct objects *objects)
{
    char where[OWNER_WHERE_MAX];
    object_s3_place_of(objects, where);
    if (objects->boundaries && !owner_note(&objects->owner, OWNER_BUCKET, where))
        log_warn("server.data_dir/owner.bucket cannot be written; the bucket is asked again at the next start");
    object_s3_believe(objects);
}

static void object_s3_on_marked(void *ctx, const char *failure)
{
    if (failure)
        object_s3_judge(ctx, failure);
    else
        object_s3_note_and_believe(ctx);
}

/* The bucket is new, or has segments that the database knows. A process that only reads there does not mark it. */
static void object_s3_mark(struct objects *objects)
{
    if (!objects->boundaries || !objects->puts_away) {
        object_s3_believe(objects);
        return;
    }
    struct s3_request *r = object_s3_begin(objects, OWNER_NAME, S3_PUT, objects);
    r->of_owner = true;
    r->file = slice_str(objects->owner.text);
    r->done = object_s3_on_marked;
    object_s3_ask(r);
}

static struct s3_request *object_s3_begin_get(struct objects *objects, const char *name, uint64_t most, s3_got *got,
                                              void *ctx)
{
    struct s3_request *r = object_s3_begin(objects, name, S3_GET, ctx);
    r->size = most;
    r->got = got;
    return r;
}

static void object_s3_on_sample(void *ctx, enum error error, const char *failure, struct slice bytes);

static void object_s3_find_sample(struct objects *objects)
{
    char name[OBJECT_NAME_MAX];
    const struct owner *owner = &objects->owner;
    if (objects->sample == owner->count) {
        object_s3_disbelieve(objects, "has none of the segments that the databases know", "");
        return;
    }
    const struct segment_row *row = &owner->samples[objects->sample++];
    object_name(name, &row->object);
    struct s3_request *r = object_s3_begin_get(objects, name, row->size, object_s3_on_sample, objects);
    r->of_owner = true;
    object_s3_ask(r);
}

static void object_s3_on_sample(void *ctx, enum error error, const char *failure, struct slice bytes)
{
    (void)bytes;
    if (error == ERR_NONE)
        object_s3_mark(ctx);
    else if (error == ERR_SEGMENT_MISSING)
        object_s3_find_sample(ctx);
    else
        object_s3_judge(ctx, failure);
}

static void object_s3_on_owner(void *ctx, enum error error, const char *failure, struct slice bytes)
{
    struct objects *objects = ctx;
    const struct owner *owner = &objects->owner;
    char where[OWNER_WHERE_MAX], more[OWNER_WHERE_MAX + 32];
    if (error == ERR_NONE && slice_equal(bytes, slice_str(owner->text))) {
        object_s3_note_and_believe(objects);
    } else if (error == ERR_NONE) {
        object_s3_disbelieve(objects, "has the object " OWNER_NAME " of another server", "");
    } else if (error != ERR_SEGMENT_MISSING) {
        object_s3_judge(objects, failure);
    } else if (owner_marked(owner, OWNER_BUCKET, where)) {
        snprintf(more, sizeof more, " (they were in %s)", where);
        object_s3_disbelieve(objects, "has no object " OWNER_NAME ": the segments are elsewhere", more);
    } else if (!owner->count || objects_know_folder(objects)) {
        object_s3_mark(objects);
    } else {
        objects->sample = 0;
        object_s3_find_sample(objects);
    }
}

static void object_s3_ask_owner(struct objects *objects)
{
    if (objects->asks_owner)
        return;
    objects->asks_owner = true;
    struct s3_request *r = object_s3_begin_get(objects, OWNER_NAME, OWNER_TEXT_MAX, object_s3_on_owner, objects);
    r->of_owner = true;
    if (objects->refused)
        object_s3_pause_before(r, DISTRUST_MS);
    else
        object_s3_ask(r);
}

/* A bucket that is where it was is not asked: what S3 says is not there has been there, and is missing. */
void s3_own(struct objects *objects)
{
    char where[OWNER_WHERE_MAX], noted[OWNER_WHERE_MAX];
    object_s3_place_of(objects, where);
    objects->trusted |= owner_marked(&objects->owner, OWNER_BUCKET, noted) && strcmp(where, noted) == 0;
    if (!objects->trusted)
        object_s3_ask_owner(objects);
}

static void object_s3_await_owner(struct s3_request *r)
{
    r->awaits = true;
    object_s3_ask_owner(r->objects);
}

static void object_s3_ask_if_ours(struct s3_request *r)
{
    if (object_s3_is_ours(r->objects))
        object_s3_ask(r);
    else
        object_s3_await_owner(r);
}

/* ---- failures ---- */

static void object_s3_fail(struct s3_request *r, const struct http_client_answer *answer)
{
    char why[256], code[64];
    bool missing = object_s3_is_missing(answer);
    if (missing && !r->of_owner && !object_s3_is_ours(r->objects) && !r->objects->stopping) {
        r->missing = true;
        object_s3_await_owner(r);
        return;
    }
    object_s3_code_of(answer, code);
    if (answer->failure)
        snprintf(why, sizeof why, "%s", answer->failure);
    else
        snprintf(why, sizeof why, "status %ld%s%s%s%.128s", answer->status, *code ? " " : "", code,
                 *r->location ? ", which points to " : "", r->location);
    if (r->fetched && !missing && !r->objects->unreachable && !r->objects->stopping)
        log_error("the store of segments does not answer: %s", why);
    r->objects->unreachable |= !missing;
    object_s3_conclude(r, why, missing ? ERR_SEGMENT_MISSING : ERR_SEGMENT_UNAVAILABLE);
}

static void object_s3_count_answer(const struct s3_request *r, const struct http_client_answer *answer)
{
    static const uint8_t calls[] = {
        [S3_PUT] = METRIC_S3_CALL_PUT, [S3_READ_BACK] = METRIC_S3_CALL_READ_BACK, [S3_REMOVE] = METRIC_S3_CALL_REMOVE,
        [S3_GET] = METRIC_S3_CALL_GET, [S3_FETCH] = METRIC_S3_CALL_FETCH,
    };
    struct metrics *metrics = r->objects->metrics;
    unsigned result = answer->failure                ? METRIC_S3_RESULT_NO_ANSWER
                      : object_s3_is_missing(answer) ? METRIC_S3_RESULT_MISSING
                      : answer->status >= 500        ? METRIC_S3_RESULT_FAILED
                      : answer->status >= 300        ? METRIC_S3_RESULT_REFUSED
                                                     : METRIC_S3_RESULT_OK;
    metrics_add(metrics, METRIC_S3_CALLS + (unsigned)calls[r->step] * METRIC_S3_RESULT_COUNT + result, 1);
    metrics_observe_us(metrics, METRIC_S3_US + (unsigned)calls[r->step] * METRICS_HISTOGRAM,
                       clock_monotonic_us() - r->asked_us);
}

static void object_s3_answered(void *ctx, const struct http_client_answer *answer)
{
    struct s3_request *r = ctx;
    object_s3_count_answer(r, answer);
    bool good = !answer->failure && answer->status >= 200 && answer->status < 300;
    good |= r->step == S3_REMOVE && object_s3_is_missing(answer);
    bool whole = answer->body.len == r->size && !buf_len(&r->whole); /* whatever was asked for */
    bool cut = good && r->step == S3_FETCH && answer->body.len != object_s3_part_of(r) && !whole;
    if (good)
        r->objects->unreachable = false;
    if (object_s3_is_redirected(r, answer)) {
        r->redirects++;
        object_s3_ask(r);
        return;
    }
    r->redirects = 0;
    if (good && !cut) {
        object_s3_take_answer(r, answer);
    } else if (r->objects->stopping || ++r->attempt >= ATTEMPTS || !(cut || object_s3_may_help(answer)) ||
               object_s3_is_late(r)) {
        if (cut)
            object_s3_conclude(r, "it has another length", ERR_SEGMENT_TRUNCATED);
        else
            object_s3_fail(r, answer);
    } else {
        object_s3_pause_before(r, object_s3_pause_of(r));
    }
}

void s3_clear(struct objects *objects)
{
    objects->stopping = true;
    http_client_clear(&objects->http_client);
    while (objects->requests)
        object_s3_conclude(objects->requests, "the shard stops", ERR_SEGMENT_UNAVAILABLE);
}

/* ---- what is asked ---- */

void s3_put(struct objects *objects, const char *name, struct slice bytes, objects_done *done, void *ctx)
{
    struct s3_request *r = object_s3_begin(objects, name, S3_PUT, ctx);
    r->file = bytes;
    r->done = done;
    object_s3_ask_if_ours(r);
}

void s3_remove(struct objects *objects, const char *name, objects_done *done, void *ctx)
{
    struct s3_request *r = object_s3_begin(objects, name, S3_REMOVE, ctx);
    r->done = done;
    object_s3_ask_if_ours(r);
}

void s3_get(struct objects *objects, const char *name, uint64_t most, s3_got *got, void *ctx)
{
    object_s3_ask(object_s3_begin_get(objects, name, most, got, ctx));
}

void s3_fetch(struct objects *objects, const struct segment_row *row, const char *cache, objects_fetched *done,
              void *ctx)
{
    char name[OBJECT_NAME_MAX];
    object_name(name, &row->object);
    struct s3_request *r = object_s3_begin(objects, name, S3_FETCH, ctx);
    r->object = row->object;
    r->size = row->size;
    r->checksum = row->checksum;
    r->fetched = done;
    snprintf(r->cache, sizeof r->cache, "%s", cache);
    object_s3_ask(r);
}
