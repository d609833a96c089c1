/* From a request to its decision.
 *
 *     callback_ask()   names: the path, and each stream that is named beside it
 *          |
 *          v           up to CALLBACK_WINDOW questions at a time
 *     callback_go_on() --remembered, for its max-age--> callback_conclude()
 *          |            --auth.callback_waiting wait already--> OVERLOADED
 *          v
 *     POST --2xx--> allowed up to Stream-Auth-Scope -----+--> callback_remember(), callback_conclude()
 *          --401, or another 3xx or 4xx--> refused -------+
 *          --5xx, timeout, cut off--> no decision: 503, and nothing is remembered
 *
 * The first refusal decides, and the request goes on at once; questions that are still open are awaited only to be
 * forgotten. An inquiry lives until its last question is answered, also if its client is gone by then.
 *
 * auth.callback_down = allow: requests are allowed while the service is down. One failed question does not
 * show that: a client could cause it with a request that the service cannot handle. So a question of the router's own
 * (a probe, with nothing of the client's) has to fail too; its result counts for DOWN_MS.
 *
 * Answers are remembered under the digest of all that was sent, headers with credentials included: the same answer is
 * given only to the same question. The table has a fixed size, and what hashes to a place replaces what was there. */
#include "router/auth/callback.h"

#include <cjson/cJSON.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/percent.h"
#include "common/project.h"
#include "common/utf8.h"
#include "common/words.h"
#include "router/auth/cache_terms.h"
#include "router/auth/cors.h"
#include "router/auth/named.h"
#include "router/conn/incoming.h"
#include "router/conn/request.h"
#include "router/router.h"

#define HEADER_MAX ((size_t)8 << 10) /* of one header that is handed on */
#define DOWN_MS 1000u                /* what one look at the callback is good for */
#define KEY_BYTES 32u                /* SHA-256 */

/* The questions about one request. */
struct inquiry {
    struct callbacks *all;
    struct suspended_list waiting; /* the request, unless it was decided or its client is gone */
    struct buf headers;            /* handed on with each question */
    struct buf names;              /* that are yet to be asked about */
    char *path;                    /* of the request */
    enum http_method method;
    unsigned open; /* questions under way */
    bool counted;  /* in callbacks.waiting */
    bool held;     /* the request waits; before, answers that are remembered may do */
    struct decision decision;
};

/* One question of it. */
struct question {
    struct inquiry *inquiry;
    enum named kind;
    bool probe; /* it got no answer, and now anybody is asked who is there */
    uint64_t asked_ms;
    enum scope scope; /* as the answer's head says */
    struct cache_terms terms;
    unsigned char key[KEY_BYTES]; /* what its answer is remembered under */
};

struct callback_answer {
    unsigned char key[KEY_BYTES];
    uint64_t until_ms;
    enum error error;
    enum scope scope;
};

static void callback_go_on(struct inquiry *i);

/* ---- the question ---- */

void callback_name(struct slice name, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0, len; i < name.len; i += len) {
        const uint8_t *at = (const uint8_t *)name.data + i;
        len = *at < 0x80 ? 1 : utf8_length(at, name.len - i);
        if (len) {
            buf_add(out, at, len);
            continue;
        }
        const char bad[3] = {0x1a, digits[*at >> 4], digits[*at & 15]};
        buf_add(out, bad, sizeof bad);
        len = 1;
    }
}

/* Takes the text, which has no NUL. */
static void callback_add_text(cJSON *object, const char *name, struct buf *text)
{
    buf_add_byte(text, 0);
    cJSON_AddStringToObject(object, name, buf_slice(text).data);
    buf_clear(text);
}

/* The path of the request, or the one that would be asked for to use this name. */
static void callback_path_of(const struct inquiry *i, enum named kind, struct slice name, struct buf *out)
{
    buf_add_text(out, kind == NAMED_PATH ? i->path : named_prefix(kind));
    if (kind != NAMED_PATH)
        percent_encode(name, out);
}

static char *callback_payload_of(enum http_method method, struct buf *path, struct slice name)
{
    struct slice project = project_of(name), stream = project_stream(name);
    struct buf text = {0};
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "method", http_method_name(method));
    callback_add_text(object, "path", path);
    buf_add_slice(&text, project);
    callback_add_text(object, "project", &text);
    callback_name(stream, &text);
    if (stream.len)
        callback_add_text(object, "stream", &text);
    char *printed = cJSON_PrintUnformatted(object), *payload = xstrdup(printed);
    cJSON_free(printed);
    cJSON_Delete(object);
    return payload;
}

/* The key of a question is a digest of everything that is sent, so two questions with one key have the same answer. */
static void callback_make_key(unsigned char key[KEY_BYTES], const char *payload, const struct buf *headers)
{
    struct buf all = {0};
    buf_add(&all, payload, strlen(payload) + 1);
    buf_add_slice(&all, buf_slice(headers));
    if (EVP_Q_digest(NULL, "SHA256", NULL, buf_slice(&all).data, buf_len(&all), key, NULL) != 1)
        fatalx("libcrypto has no SHA-256");
    buf_wipe(&all);
}

/* Headers that browsers add by themselves: cookies, and passwords that a user typed once. */
static bool callback_is_ambient(struct slice name, struct slice value)
{
    const struct slice bearer = SLICE("bearer ");
    while (value.len && strchr(" \t", *value.data))
        value = slice_of(value.data + 1, value.len - 1);
    struct slice scheme = slice_of(value.data, value.len < bearer.len ? value.len : bearer.len);
    return slice_alike(name, SLICE("cookie")) ||
           (slice_alike(name, SLICE("authorization")) && !slice_alike(scheme, bearer));
}

static void callback_add_header(struct buf *headers, struct slice name, struct slice value)
{
    if (value.len > HEADER_MAX)
        return;
    buf_add_slice(headers, name);
    buf_add(headers, ":", 1);
    buf_add_slice(headers, value);
    buf_add(headers, "", 1);
}

/* Every line of a header, of a head as it came: a proxy may have added its own behind the client's. */
static void callback_add_lines(struct buf *headers, struct slice name, struct slice bytes, bool trusted)
{
    while (bytes.len) {
        const char *end = memchr(bytes.data, '\n', bytes.len);
        size_t len = end ? (size_t)(end - bytes.data) + 1 : bytes.len;
        struct slice line = slice_of(bytes.data, len);
        bytes = slice_of(bytes.data + len, bytes.len - len);
        if (line.len < name.len + 3 || line.data[name.len] != ':' || !slice_alike(slice_of(line.data, name.len), name))
            continue;
        struct slice value = slice_of(line.data + name.len + 1, line.len - name.len - 3); /* without CRLF */
        if (trusted || !callback_is_ambient(name, value))
            callback_add_header(headers, name, value);
    }
}

static void callback_add_headers(struct buf *headers, const char *names, struct slice bytes, bool trusted)
{
    struct slice name;
    while (words_next(&names, &name))
        callback_add_lines(headers, name, bytes, trusted);
}

/* ---- what is remembered ---- */

static struct callback_answer *callback_place_of(const struct callbacks *all, const unsigned char key[KEY_BYTES])
{
    uint64_t number;
    memcpy(&number, key, sizeof number);
    return &all->answers[number % CALLBACK_ANSWERS];
}

static const struct callback_answer *callback_remembered(const struct callbacks *all,
                                                         const unsigned char key[KEY_BYTES])
{
    const struct callback_answer *known = callback_place_of(all, key);
    return known->until_ms > all->router->now_ms && memcmp(known->key, key, KEY_BYTES) == 0 ? known : NULL;
}

static void callback_remember(struct question *q, enum error error)
{
    struct callbacks *all = q->inquiry->all;
    uint64_t now_ms = all->router->now_ms, most = all->router->cfg->auth_callback_cache;
    uint64_t keep = cache_terms_ms(&q->terms, now_ms - q->asked_ms);
    struct callback_answer *place = callback_place_of(all, q->key);
    if (!keep)
        return;
    *place =
        (struct callback_answer){.until_ms = now_ms + (keep < most ? keep : most), .error = error, .scope = q->scope};
    memcpy(place->key, q->key, KEY_BYTES);
}

/* ---- what is decided ---- */

/* One of its questions is decided. The first refusal counts. */
static void callback_conclude(struct inquiry *i, enum named kind, enum error error, enum scope scope)
{
    if (kind == NAMED_PATH)
        i->decision.scope = scope;
    if (error == ERR_NONE && scope < named_scope(kind))
        error = ERR_FORBIDDEN;
    if (error == ERR_NONE || i->decision.error != ERR_NONE)
        return;
    i->decision.error = error;
    i->decision.refusal = kind == NAMED_PATH ? NULL : named_refusal(kind);
}

static void callback_inquiry_free(struct inquiry *i)
{
    i->all->waiting -= i->counted;
    buf_wipe(&i->headers); /* tokens */
    buf_clear(&i->names);
    free(i->path);
    free(i);
}

/* A question is answered: the request goes on if that decides it, or the next is asked. */
static void callback_answered_one(struct question *q, enum error error, enum scope scope)
{
    struct inquiry *i = q->inquiry;
    i->open--;
    callback_conclude(i, q->kind, error, scope);
    free(q);
    callback_go_on(i);
    if (i->waiting.first && (!i->open || i->decision.error != ERR_NONE)) {
        suspended_first(&i->waiting)->decision = i->decision;
        suspended_resume(&i->waiting);
    } else if (i->waiting.first) {
        suspended_longer(&i->waiting); /* a list has many questions */
    }
    if (!i->open)
        callback_inquiry_free(i);
}

/* ---- no answer ---- */

static void callback_complain(struct callbacks *all, const struct http_client_answer *answer, const char *so)
{
    if (!all->failing)
        log_warn("auth.callback_url: %s (status %ld): %s", answer->failure ? answer->failure : "unusable answer",
                 answer->status, so);
    all->failing = true;
}

/* Whether the failure says that the service is down: unreachable, or a gateway's error. A client could cause any other.
 */
static bool callback_nobody_there(const struct http_client_answer *answer)
{
    bool gateway = answer->status == 502 || answer->status == 503 || answer->status == 504;
    return answer->failure ? answer->unreachable : gateway;
}

/* Asks a question without anything of the client's, to see whether the service is down. */
static void callback_probe(struct question *q);

/* The question got no answer. With auth.callback_down = allow it is allowed if the service is down for all. */
static void callback_unanswered(struct question *q, const struct http_client_answer *answer)
{
    struct callbacks *all = q->inquiry->all;
    uint64_t now_ms = all->router->now_ms;
    bool allow = all->router->cfg->auth_callback_down == AUTH_CALLBACK_DOWN_ALLOW && callback_nobody_there(answer) &&
                 all->answered_ms <= q->asked_ms;
    bool down = q->probe || (all->down_ms && now_ms - all->down_ms < DOWN_MS);
    if (allow && !down) {
        callback_probe(q);
        return;
    }
    if (allow && q->probe)
        all->down_ms = now_ms;
    callback_complain(all, answer, allow ? "requests are allowed" : "requests are refused");
    callback_answered_one(q, allow ? ERR_NONE : ERR_AUTH_UNAVAILABLE, SCOPE_MANAGE);
}

/* ---- asking ---- */

static void callback_answered(void *ctx, const struct http_client_answer *answer)
{
    struct question *q = ctx;
    struct callbacks *all = q->inquiry->all;
    long status = answer->status;
    if (answer->failure || status >= 500 || status < 200) {
        callback_unanswered(q, answer);
        return;
    }
    all->answered_ms = all->router->now_ms;
    all->down_ms = 0;
    if (q->probe) { /* the service is up, but did not answer the client's question */
        callback_answered_one(q, ERR_AUTH_UNAVAILABLE, SCOPE_MANAGE);
        return;
    }
    if (all->failing)
        log_info("auth.callback_url answers again");
    all->failing = false;
    enum error error = status < 300 ? ERR_NONE : status == 401 ? ERR_UNAUTHORIZED : ERR_FORBIDDEN;
    callback_remember(q, error);
    callback_answered_one(q, error, q->scope);
}

static void callback_on_header(void *ctx, struct slice name, struct slice value)
{
    struct question *q = ctx;
    cache_terms_add(&q->terms, name, value);
    if (!slice_alike(name, SLICE("stream-auth-scope")))
        return;
    enum scope scope = scope_of(value); /* what is no scope allows nothing */
    if (scope < q->scope)
        q->scope = scope;
}

static void callback_put(struct question *q, char *payload, const struct buf *headers)
{
    static const char type[] = "Content-Type: application/json";
    struct router *r = q->inquiry->all->router;
    struct http_client_request http_client = {
        .url = r->cfg->auth_callback_url,
        .timeout_ms = r->cfg->auth_callback_timeout,
        .payload = payload,
        .header = callback_on_header,
        .done = callback_answered,
        .ctx = q,
    };
    if (headers)
        buf_add_slice(&http_client.headers, buf_slice(headers));
    buf_add(&http_client.headers, type, sizeof type);
    q->asked_ms = r->now_ms;
    http_client_send(&r->http_client, &http_client);
}

static void callback_probe(struct question *q)
{
    struct buf path = {0};
    buf_add_text(&path, "/v1/stream/" PROJECT_DEFAULT "/probe");
    q->probe = true;
    callback_put(q, callback_payload_of(HTTP_GET, &path, SLICE(PROJECT_DEFAULT "/probe")), NULL);
}

/* The next is asked, unless its answer is remembered or too many wait already. */
static void callback_ask_one(struct inquiry *i, enum named kind, struct slice name)
{
    struct callbacks *all = i->all;
    struct buf path = {0};
    struct question *q = xcalloc(1, sizeof *q);
    *q = (struct question){.inquiry = i, .kind = kind, .scope = SCOPE_MANAGE};
    callback_path_of(i, kind, name, &path);
    char *payload = callback_payload_of(kind == NAMED_PATH ? i->method : named_method(kind), &path, name);
    callback_make_key(q->key, payload, &i->headers);
    const struct callback_answer *known = callback_remembered(all, q->key);
    bool full = !i->counted && all->waiting >= all->router->cfg->auth_callback_waiting;
    if (known || full) {
        callback_conclude(i, kind, known ? known->error : ERR_OVERLOADED, known ? known->scope : SCOPE_MANAGE);
        free(payload);
        free(q);
        return;
    }
    all->waiting += !i->counted;
    i->counted = true;
    i->open++;
    callback_put(q, payload, &i->headers);
}

/* Asks the remaining questions, as long as the request waits. */
static void callback_go_on(struct inquiry *i)
{
    struct slice left = buf_slice(&i->names), name;
    enum named kind;
    while (i->open < CALLBACK_WINDOW && i->decision.error == ERR_NONE && (i->waiting.first || !i->held) &&
           named_next(&left, &kind, &name))
        callback_ask_one(i, kind, name);
    buf_consume(&i->names, buf_len(&i->names) - left.len);
}

bool callback_ask(struct request *req, struct buf *names, suspend_resume *resume)
{
    struct callbacks *all = &req->router->callbacks;
    const struct incoming *in = req->incoming;
    struct inquiry *i = xcalloc(1, sizeof *i);
    *i = (struct inquiry){.all = all, .method = in->head.method, .path = xslicedup(in->head.path), .names = *names};
    i->decision = req->decision;
    *names = (struct buf){0};
    callback_add_headers(&i->headers, all->router->cfg->auth_callback_headers, in->bytes,
                         cors_trusts(req, &in->head, (struct slice){0}));
    callback_go_on(i);
    i->held = true;
    if (i->open && i->decision.error == ERR_NONE) {
        suspend_request(&i->waiting, req, resume);
        return false;
    }
    req->decision = i->decision;
    if (!i->open)
        callback_inquiry_free(i);
    return true;
}

/* ---- the configuration ---- */

static uint64_t callback_mark_of_settings(const struct config *cfg)
{
    const char *const texts[] = {cfg->auth_callback_url, cfg->auth_callback_headers,
                                 choice_auth_callback_down[cfg->auth_callback_down], cfg->cors_origins};
    const uint64_t numbers[] = {cfg->auth_callback_cache, cfg->auth_callback_recheck};
    uint64_t mark = hash_texts(HASH_SEED, texts, sizeof texts / sizeof texts[0]);
    return hash_add(mark, slice_of((const char *)numbers, sizeof numbers));
}

void callback_init(struct callbacks *all, struct router *router)
{
    *all = (struct callbacks){.router = router};
    if (router->cfg->auth_mode != AUTH_MODE_CALLBACK)
        return;
    all->on = true;
    all->settings = callback_mark_of_settings(router->cfg);
    all->answers = xcalloc(CALLBACK_ANSWERS, sizeof *all->answers);
}

bool callback_reload(struct callbacks *all)
{
    if (!all->on || all->settings == callback_mark_of_settings(all->router->cfg))
        return false;
    all->settings = callback_mark_of_settings(all->router->cfg);
    memset(all->answers, 0, CALLBACK_ANSWERS * sizeof *all->answers);
    return true;
}
