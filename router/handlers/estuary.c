/* Estuaries: subscribe, unsubscribe, look, touch, delete.
 *
 *     POST /v1/estuary/subscribe/app/log   {"estuaryId":"inbox"}                        one source, in the path
 *     POST /v1/estuary/subscribe/app       {"estuaryId":"inbox","streams":["a","b"]}    many sources, in the body
 *
 * Happy path: the body is read into struct subscription, one SUBSCRIBE goes to the estuary's shard, and that shard asks
 * the shards of the sources. Its answer has a result for each source, in the order of the question.
 *
 * Failure modes: The body is wrong: 400, and nothing is subscribed. Some of many sources fail: 200, and each says for
 * itself whether it is subscribed. The project is full: the shard refuses only an estuary that would be new. A shard
 * dies: every message here can be sent again, because each has the same effect twice. */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "common/document.h"
#include "common/media_type.h"
#include "common/mem.h"
#include "common/percent.h"
#include "router/auth/named.h"
#include "router/auth/quota.h"
#include "router/conn/answer.h"
#include "router/conn/ask.h"
#include "router/handlers/body_name.h"
#include "router/handlers/estuary.h"
#include "router/handlers/handlers.h"
#include "router/handlers/rules.h"
#include "router/http/route.h"
#include "router/router.h"

#define SOURCES_MAX 1000   /* in one request */
#define SUBSCRIBED_MANY 1u /* flag of the shard request: the body had a list of sources */

/* ---- names ---- */

static struct slice estuary_id_of(struct slice name)
{
    size_t project = project_of(name).len + 1;
    return slice_from(name, project);
}

/* Takes the first off a run of texts, each with a NUL behind it. */
static struct slice estuary_next_name(struct slice *names)
{
    size_t len = strnlen(names->data, names->len);
    struct slice name = slice_of(names->data, len);
    *names = slice_from(*names, len + 1);
    return name;
}

/* ---- answers ---- */

static void estuary_add_text(cJSON *object, const char *name, struct slice text)
{
    char *copy = xslicedup(text);
    cJSON_AddStringToObject(object, name, copy);
    free(copy);
}

/* Names are percent-encoded as in a path, here as in listings. */
static void estuary_add_name(cJSON *object, const char *key, const char *before, struct slice name)
{
    struct buf text = {0};
    buf_add_text(&text, before);
    percent_encode(name, &text);
    buf_add_byte(&text, 0);
    cJSON_AddStringToObject(object, key, buf_slice(&text).data);
    buf_clear(&text);
}

static void estuary_add_expiry(cJSON *object, uint64_t expires_ms)
{
    if (expires_ms == UINT64_MAX)
        cJSON_AddNullToObject(object, "expiresAt");
    else
        cJSON_AddNumberToObject(object, "expiresAt", (double)expires_ms);
}

static void estuary_answer_object(struct request *req, cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    answer_json(req, slice_str(text));
    cJSON_free(text);
    cJSON_Delete(object);
}

/* One byte a source. A missing or unknown one is this server's fault. */
static enum error estuary_result_of(struct slice results, size_t i)
{
    uint8_t error = i < results.len ? (uint8_t)results.data[i] : ERR_INTERNAL;
    return error < ERR_COUNT ? (enum error)error : ERR_INTERNAL;
}

static void estuary_add_results(cJSON *object, struct slice names, struct slice results, struct slice texts)
{
    cJSON *all = cJSON_AddArrayToObject(object, "subscriptions");
    for (size_t i = 0; names.len; i++) {
        cJSON *one = cJSON_CreateObject();
        enum error error = estuary_result_of(results, i);
        struct slice text = texts.len ? estuary_next_name(&texts) : texts;
        estuary_add_name(one, "streamId", "", estuary_id_of(estuary_next_name(&names)));
        cJSON_AddBoolToObject(one, "subscribed", error == ERR_NONE);
        if (error != ERR_NONE) {
            cJSON_AddStringToObject(one, "code", error_code(error));
            estuary_add_text(one, "error", text.len ? text : slice_str(error_text(error)));
        }
        cJSON_AddItemToArray(all, one);
    }
}

/* The names that were asked about: the frame is kept until its answer, so no copy of them is needed. */
static struct wire_subscribe estuary_asked(const struct shard_request *q)
{
    struct wire_subscribe m = {0};
    enum wire_type type;
    struct slice body;
    size_t size;
    if (wire_peek(buf_slice(&q->frame), &type, &body, &size) == WIRE_PEEK_FRAME)
        (void)!wire_get_subscribe(body, &m);
    return m;
}

static void estuary_subscribed(struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    const struct wire_subscribe m = estuary_asked(q);
    const struct wire_estuary_state *state = answer_estuary_state(answer);
    struct slice names = m.sources;
    bool many = q->flags & SUBSCRIBED_MANY;
    /* The result of a single source is that of the request. */
    enum error error = answer->error;
    if (error == ERR_NONE && !many)
        error = estuary_result_of(state->results, 0);
    if (error == ERR_QUOTA_EXCEEDED) {
        quota_refuse(req, error);
        return;
    }
    if (error != ERR_NONE) {
        answer_error_text(req, error, answer->text);
        return;
    }
    cJSON *object = cJSON_CreateObject();
    estuary_add_name(object, "estuaryId", "", estuary_id_of(m.estuary));
    if (!many)
        estuary_add_name(object, "streamId", "", estuary_id_of(estuary_next_name(&names)));
    if (m.flags & WIRE_SUBSCRIBE_END) {
        cJSON_AddTrueToObject(object, "unsubscribed");
        cJSON_AddTrueToObject(object, "success");
        estuary_answer_object(req, object);
        return;
    }
    estuary_add_name(object, "estuaryStreamPath", "/v1/stream/", m.estuary);
    estuary_add_expiry(object, state->expires_ms);
    cJSON_AddBoolToObject(object, "isNewEstuary", (state->flags & WIRE_ESTUARY_NEW) != 0);
    if (many)
        estuary_add_results(object, names, state->results, state->texts);
    estuary_answer_object(req, object);
}

/* ---- subscribing ---- */

struct subscription {
    struct slice project;
    struct buf estuary; /* "{project}/{id}" */
    struct buf sources; /* "{project}/{id}" of each, with a NUL behind it: as SUBSCRIBE has them */
    struct slice content_type;
    unsigned flags;
    size_t max_path;
    bool many;
    cJSON *root; /* content_type is in it */
};

static enum error estuary_refuse(struct detail *detail, const char *why)
{
    return detail_say(detail, ERR_INVALID_SUBSCRIPTION, "%s", why);
}

static struct slice estuary_text_of(const cJSON *item)
{
    const char *text = cJSON_GetStringValue(item);
    return text ? slice_str(text) : (struct slice){0};
}

static enum error estuary_take_name(const struct subscription *s, const char *what, const cJSON *item,
                                    struct buf *names, struct detail *detail)
{
    const struct body_names of = {s->project, s->max_path, ERR_INVALID_SUBSCRIPTION};
    return body_name_add(&of, what, estuary_text_of(item), names, detail);
}

/* The last source, which begins at `from`, is whole. An estuary cannot be its own source. */
static enum error estuary_end_source(struct subscription *s, size_t from, struct detail *detail)
{
    struct slice name = slice_from(buf_slice(&s->sources), from);
    if (slice_equal(name, buf_slice(&s->estuary)))
        return estuary_refuse(detail, "estuaryId must be another stream than the source");
    buf_add_byte(&s->sources, 0);
    return ERR_NONE;
}

static enum error estuary_read_sources(const cJSON *streams, struct subscription *s, struct detail *detail)
{
    const cJSON *item;
    int count = cJSON_GetArraySize(streams);
    if (!cJSON_IsArray(streams) || count < 1 || count > SOURCES_MAX)
        return estuary_refuse(detail, "streams must be an array of 1 to 1000 names");
    cJSON_ArrayForEach(item, streams)
    {
        size_t from = buf_len(&s->sources);
        enum error error = estuary_take_name(s, "an item of streams", item, &s->sources, detail);
        if (error == ERR_NONE)
            error = estuary_end_source(s, from, detail);
        if (error != ERR_NONE)
            return error;
    }
    return ERR_NONE;
}

static enum error estuary_check_fields(const cJSON *root, bool many, struct detail *detail)
{
    static const char *const fields[] = {"estuaryId", "contentType", "envelope", "streams"};
    if (!cJSON_IsObject(root))
        return estuary_refuse(detail, "the body must be a JSON object");
    const char *unknown = document_unknown(root, fields, many ? 4 : 3), *twice = document_twice(root);
    if (unknown)
        return detail_say(detail, ERR_INVALID_SUBSCRIPTION,
                          "%s is no field here; there are estuaryId, %scontentType and envelope",
                          detail_quote(slice_str(unknown)).text, many ? "streams, " : "");
    if (twice)
        return detail_say(detail, ERR_INVALID_SUBSCRIPTION, "the field %s comes twice",
                          detail_quote(slice_str(twice)).text);
    return ERR_NONE;
}

static enum error estuary_read_options(const cJSON *root, struct subscription *s, struct detail *detail)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(root, "contentType");
    const cJSON *envelope = cJSON_GetObjectItemCaseSensitive(root, "envelope");
    s->content_type = estuary_text_of(type);
    if (type && !media_type_valid(s->content_type))
        return estuary_refuse(detail, "contentType must be a media type such as application/json");
    if (envelope && !cJSON_IsBool(envelope))
        return estuary_refuse(detail, "envelope must be true or false");
    if (cJSON_IsTrue(envelope))
        s->flags |= WIRE_SUBSCRIBE_ENVELOPE;
    return ERR_NONE;
}

static enum error estuary_read_body(const cJSON *root, struct slice name, struct subscription *s, struct detail *detail)
{
    enum error error = estuary_check_fields(root, s->many, detail);
    if (error == ERR_NONE)
        error = estuary_read_options(root, s, detail);
    if (error == ERR_NONE)
        error =
            estuary_take_name(s, "estuaryId", cJSON_GetObjectItemCaseSensitive(root, "estuaryId"), &s->estuary, detail);
    if (error != ERR_NONE)
        return error;
    if (s->many)
        return estuary_read_sources(cJSON_GetObjectItemCaseSensitive(root, "streams"), s, detail);
    buf_add_slice(&s->sources, name);
    return estuary_end_source(s, 0, detail);
}

static void estuary_request_subscription(struct request *req, const struct subscription *s)
{
    struct shards *shards = &req->router->shards;
    struct shard_request *q = ask_shard(req, shards_of(shards, buf_slice(&s->estuary)), estuary_subscribed);
    q->flags = s->many ? SUBSCRIBED_MANY : 0;
    wire_put_subscribe(&q->frame, &(struct wire_subscribe){
                                      .id = q->id,
                                      .estuary = buf_slice(&s->estuary),
                                      .flags = (uint8_t)s->flags,
                                      .content_type = s->content_type,
                                      .sources = buf_slice(&s->sources),
                                  });
    q->repeatable = true;
    ask_send(q);
}

/* Reads the body, once to authorise its names and once to subscribe them. Both callers use this function, so a body
 * cannot be understood as one set of names there and as another here. */
static enum error estuary_read_subscription(const struct config *cfg, struct slice name, struct slice body,
                                            struct subscription *s, struct detail *detail)
{
    s->project = project_of(name);
    s->max_path = cfg->limits_max_path;
    s->many = s->project.len == name.len;
    s->root = document_parse(body);
    return estuary_read_body(s->root, name, s, detail);
}

static void estuary_clear(struct subscription *s)
{
    cJSON_Delete(s->root);
    buf_clear(&s->estuary);
    buf_clear(&s->sources);
}

void estuary_names(struct slice name, struct slice body, const struct config *cfg, struct buf *names)
{
    struct subscription s = {0};
    if (estuary_read_subscription(cfg, name, body, &s, NULL) == ERR_NONE) {
        struct slice sources = buf_slice(&s.sources);
        named_add(names, NAMED_ESTUARY, buf_slice(&s.estuary));
        while (s.many && sources.len) /* a single source is in the path, which was checked with the head */
            named_add(names, NAMED_STREAM, estuary_next_name(&sources));
    }
    estuary_clear(&s);
}

static void estuary_submit(struct request *req, struct slice name, struct slice body, unsigned flags)
{
    struct subscription s = {.flags = flags};
    struct detail detail = {0};
    enum error error = estuary_read_subscription(req->router->cfg, name, body, &s, &detail);
    if (error == ERR_NONE && !(flags & WIRE_SUBSCRIBE_END) && !route_reachable(buf_slice(&s.estuary)))
        error = estuary_refuse(&detail, "an estuary cannot be called so: URLs do not keep the segments '.' and '..'");
    if (error == ERR_NONE && !(flags & WIRE_SUBSCRIBE_END) && quota_create(req, buf_slice(&s.estuary), 0) != ERR_NONE)
        s.flags |= WIRE_SUBSCRIBE_FULL;
    if (error == ERR_NONE)
        estuary_request_subscription(req, &s);
    else
        answer_error_text(req, error, detail.text);
    estuary_clear(&s);
}

void handle_subscribe(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    (void)head;
    estuary_submit(req, name, body, 0);
}

void handle_subscribe_many(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    (void)head;
    estuary_submit(req, name, body, 0);
}

void handle_unsubscribe(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    (void)head;
    estuary_submit(req, name, body, WIRE_SUBSCRIBE_END);
}

/* ---- the estuary itself ---- */

static void estuary_answered(struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    const struct wire_estuary_state *state = answer_estuary_state(answer);
    struct slice estuary = slice_str(q->text);
    if (answer->error != ERR_NONE) {
        answer_error_text(req, answer->error, answer->text);
        return;
    }
    cJSON *object = cJSON_CreateObject();
    estuary_add_name(object, "estuaryId", "", estuary_id_of(estuary));
    if (q->flags >= WIRE_ESTUARY_DELETE) {
        cJSON_AddTrueToObject(object, "deleted");
    } else if (q->flags == WIRE_ESTUARY_TOUCH) {
        estuary_add_expiry(object, state->expires_ms);
    } else {
        struct slice names = state->sources;
        estuary_add_name(object, "estuaryStreamPath", "/v1/stream/", estuary);
        cJSON *all = cJSON_AddArrayToObject(object, "subscriptions");
        while (names.len) {
            cJSON *one = cJSON_CreateObject();
            estuary_add_name(one, "streamId", "", estuary_id_of(estuary_next_name(&names)));
            cJSON_AddItemToArray(all, one);
        }
        estuary_add_text(object, "contentType", state->content_type);
    }
    estuary_answer_object(req, object);
}

static void estuary_ask(struct request *req, struct slice name, unsigned what)
{
    struct shards *shards = &req->router->shards;
    struct shard_request *q = ask_shard(req, shards_of(shards, name), estuary_answered);
    wire_put_estuary(&q->frame, &(struct wire_estuary){.id = q->id, .name = name, .what = (uint8_t)what});
    q->repeatable = true;
    q->text = xslicedup(name);
    q->flags = what; /* which the answer depends on */
    ask_send(q);
}

void handle_estuary(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    (void)head;
    (void)body;
    estuary_ask(req, name, WIRE_ESTUARY_LOOK);
}

void handle_estuary_touch(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    (void)head;
    (void)body;
    estuary_ask(req, name, WIRE_ESTUARY_TOUCH);
}

void handle_estuary_delete(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    (void)body;
    /* Deleting an estuary needs write; deleting a stream needs manage. An estuary that was a stream before is both. */
    bool manages = auth_check(req, head, name, SCOPE_MANAGE, NULL) == ERR_NONE;
    estuary_ask(req, name, manages ? WIRE_ESTUARY_DELETE : WIRE_ESTUARY_DELETE_OWNED);
}
