/* Estuaries: subscribe, unsubscribe, look, touch, delete. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/document.h"
#include "common/mem.h"
#include "router/answer.h"
#include "router/route.h"
#include "router/router.h"
#include "router/rules.h"
#include "router/verbs.h"

#define SOURCES_MAX 1000 /* in one request */

/* ---- names ---- */

static struct slice id_of(struct slice name)
{
    size_t project = project_of(name).len + 1;
    return slice_of(name.data + project, name.len - project);
}

static void add_name(struct buf *names, struct slice project, struct slice id)
{
    buf_add_slice(names, project);
    buf_add_byte(names, '/');
    buf_add_slice(names, id);
}

static struct slice next_name(struct slice *names)
{
    size_t len = strnlen(names->data, names->len);
    struct slice name = slice_of(names->data, len);
    *names = slice_of(names->data + len + 1, names->len - len - 1);
    return name;
}

/* ---- answers ---- */

static void add_text(cJSON *object, const char *name, struct slice text)
{
    char *copy = xslicedup(text);
    cJSON_AddStringToObject(object, name, copy);
    free(copy);
}

static void add_path(cJSON *object, struct slice estuary)
{
    char path[ROUTE_NAME_MAX + 32];
    snprintf(path, sizeof path, "/v1/stream/%.*s", (int)estuary.len, estuary.data);
    cJSON_AddStringToObject(object, "estuaryStreamPath", path);
}

static void add_expiry(cJSON *object, uint64_t expires_ms)
{
    if (expires_ms == UINT64_MAX)
        cJSON_AddNullToObject(object, "expiresAt");
    else
        cJSON_AddNumberToObject(object, "expiresAt", (double)expires_ms);
}

static void answer_object(struct client *c, cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    answer_json(c, slice_str(text));
    cJSON_free(text);
    cJSON_Delete(object);
}

static enum error result_of(struct slice results, size_t i)
{
    uint8_t error = i < results.len ? (uint8_t)results.data[i] : ERR_INTERNAL;
    return error < ERR_COUNT ? (enum error)error : ERR_INTERNAL;
}

static void add_results(cJSON *object, struct slice names, struct slice results)
{
    cJSON *all = cJSON_AddArrayToObject(object, "subscriptions");
    for (size_t i = 0; names.len; i++) {
        cJSON *one = cJSON_CreateObject();
        enum error error = result_of(results, i);
        add_text(one, "streamId", id_of(next_name(&names)));
        cJSON_AddBoolToObject(one, "subscribed", error == ERR_NONE);
        if (error != ERR_NONE) {
            cJSON_AddStringToObject(one, "code", error_code(error));
            cJSON_AddStringToObject(one, "error", error_text(error));
        }
        cJSON_AddItemToArray(all, one);
    }
}

/* What was asked; it is still in its frame. */
static struct wire_subscribe asked(const struct request *request)
{
    struct wire_subscribe m = {0};
    enum wire_type type;
    struct slice body;
    size_t size;
    if (wire_peek(buf_slice(&request->frame), &type, &body, &size) == WIRE_PEEK_FRAME)
        (void)!wire_get_subscribe(body, &m);
    return m;
}

static void subscribed(struct request *request, const struct answer *answer)
{
    struct client *c = request->client;
    const struct wire_subscribe m = asked(request);
    const struct wire_estuary_state *state = answer->estuary;
    struct slice names = m.sources;
    bool many = c->exchange.many;
    enum error error = answer->error;
    if (error == ERR_NONE && !many)
        error = result_of(state->results, 0);
    if (error == ERR_QUOTA_EXCEEDED) {
        quota_refuse(c, error);
        return;
    }
    if (error != ERR_NONE) {
        answer_error_text(c, error, answer->error != ERR_NONE ? answer->text : error_text(error));
        return;
    }
    cJSON *object = cJSON_CreateObject();
    add_text(object, "estuaryId", id_of(m.estuary));
    if (!many)
        add_text(object, "streamId", id_of(next_name(&names)));
    if (m.flags & WIRE_SUBSCRIBE_END) {
        cJSON_AddTrueToObject(object, "unsubscribed");
        cJSON_AddTrueToObject(object, "success");
        answer_object(c, object);
        return;
    }
    add_path(object, m.estuary);
    add_expiry(object, state->expires_ms);
    cJSON_AddBoolToObject(object, "isNewEstuary", (state->flags & WIRE_ESTUARY_NEW) != 0);
    if (many)
        add_results(object, names, state->results);
    answer_object(c, object);
}

/* ---- subscribing ---- */

struct subscription {
    struct buf estuary; /* "{project}/{id}" */
    struct buf sources; /* the same of each, with a NUL behind it */
    char type[RULES_TYPE_MAX];
    struct slice content_type;
    unsigned flags;
    size_t id_max; /* a longer id could not be read */
};

#define PATH_BEFORE (sizeof "/v1/stream//" - 1)

static struct slice text_of(const cJSON *object, const char *name)
{
    const char *text = document_text(object, name);
    return text ? slice_str(text) : (struct slice){0};
}

static const char *add_source(struct subscription *s, struct slice project, struct slice id)
{
    if (!route_id_valid(id))
        return "a source's id must be of A-Z a-z 0-9 _ - : .";
    if (id.len > s->id_max)
        return "a source's id is too long";
    add_name(&s->sources, project, id);
    if (id.len + project.len + 1 == buf_len(&s->estuary) &&
        memcmp(buf_slice(&s->sources).data + buf_len(&s->sources) - buf_len(&s->estuary), buf_slice(&s->estuary).data,
               buf_len(&s->estuary)) == 0)
        return "estuaryId must be another stream than the source";
    buf_add_byte(&s->sources, 0);
    return NULL;
}

static const char *read_sources(const cJSON *root, struct slice project, struct subscription *s)
{
    const cJSON *item, *streams = cJSON_GetObjectItemCaseSensitive(root, "streams");
    int count = cJSON_GetArraySize(streams);
    if (!cJSON_IsArray(streams) || count < 1 || count > SOURCES_MAX)
        return "streams must be an array of 1 to 1000 ids";
    cJSON_ArrayForEach(item, streams)
    {
        if (!cJSON_IsString(item))
            return "streams must be an array of 1 to 1000 ids";
        const char *wrong = add_source(s, project, slice_str(item->valuestring));
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *read_body(const cJSON *root, struct slice name, struct subscription *s)
{
    struct slice estuary = text_of(root, "estuaryId"), project = project_of(name);
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(root, "contentType");
    const cJSON *envelope = cJSON_GetObjectItemCaseSensitive(root, "envelope");
    if (!cJSON_IsObject(root))
        return "the body must be a JSON object";
    if (!route_id_valid(estuary))
        return "estuaryId must be a text of A-Z a-z 0-9 _ - : .";
    if (estuary.len > s->id_max)
        return "estuaryId is too long";
    if (type && (!cJSON_IsString(type) || !rules_content_type(slice_str(type->valuestring), s->type, &s->content_type)))
        return "contentType must be a media type";
    if (envelope && !cJSON_IsBool(envelope))
        return "envelope must be true or false";
    if (cJSON_IsTrue(envelope))
        s->flags |= WIRE_SUBSCRIBE_ENVELOPE;
    add_name(&s->estuary, project, estuary);
    return project.len == name.len ? read_sources(root, project, s) : add_source(s, project, id_of(name));
}

/* The token must be good for all of these streams. */
static enum error check_all(struct client *c, const struct http_head *head, struct slice name,
                            const struct subscription *s, struct detail *detail)
{
    enum error error = auth_check_source(c, head, name, buf_slice(&s->estuary), detail);
    struct slice names = buf_slice(&s->sources);
    while (error == ERR_NONE && names.len)
        error = auth_check_source(c, head, name, next_name(&names), detail);
    return error;
}

static void request_subscription(struct client *c, const struct subscription *s)
{
    struct shards *shards = &c->router->shards;
    struct request *request = request_new(shards, shards_of(shards, buf_slice(&s->estuary)), c, subscribed);
    wire_put_subscribe(&request->frame, &(struct wire_subscribe){
                                            .id = request->id,
                                            .estuary = buf_slice(&s->estuary),
                                            .flags = (uint8_t)s->flags,
                                            .content_type = s->content_type,
                                            .sources = buf_slice(&s->sources),
                                        });
    request->repeatable = true;
    client_set_state(c, CLIENT_WAITING);
    if (!request_send(shards, request))
        answer_error(c, ERR_OVERLOADED);
}

static void submit(struct client *c, const struct http_head *head, struct slice name, struct slice body, unsigned flags)
{
    size_t before = PATH_BEFORE + project_of(name).len, most = c->router->cfg->limits_max_path;
    struct subscription s = {.flags = flags, .id_max = most > before ? most - before : 0};
    cJSON *root = document_parse(body);
    struct detail detail = {0};
    const char *wrong = read_body(root, name, &s);
    enum error error =
        wrong ? detail_say(&detail, ERR_INVALID_SUBSCRIPTION, "%s", wrong) : check_all(c, head, name, &s, &detail);
    cJSON_Delete(root);
    if (error == ERR_NONE && !(flags & WIRE_SUBSCRIBE_END) && quota_create(c, buf_slice(&s.estuary), 0) != ERR_NONE)
        s.flags |= WIRE_SUBSCRIBE_FULL;
    if (error == ERR_NONE)
        request_subscription(c, &s);
    else
        answer_error_text(c, error, detail.text);
    buf_clear(&s.estuary);
    buf_clear(&s.sources);
}

void verb_subscribe(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    submit(c, head, name, body, 0);
}

void verb_subscribe_many(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    c->exchange.many = true;
    submit(c, head, name, body, 0);
}

void verb_unsubscribe(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    submit(c, head, name, body, WIRE_SUBSCRIBE_END);
}

/* ---- the estuary itself ---- */

static void answered(struct request *request, const struct answer *answer)
{
    struct client *c = request->client;
    const struct wire_estuary_state *state = answer->estuary;
    struct slice estuary = slice_str(c->exchange.text);
    if (answer->error != ERR_NONE) {
        answer_error_text(c, answer->error, answer->text);
        return;
    }
    cJSON *object = cJSON_CreateObject();
    add_text(object, "estuaryId", id_of(estuary));
    if (c->exchange.estuary >= WIRE_ESTUARY_DELETE) {
        cJSON_AddTrueToObject(object, "deleted");
    } else if (c->exchange.estuary == WIRE_ESTUARY_TOUCH) {
        add_expiry(object, state->expires_ms);
    } else {
        struct slice names = state->sources;
        add_path(object, estuary);
        cJSON *all = cJSON_AddArrayToObject(object, "subscriptions");
        while (names.len) {
            cJSON *one = cJSON_CreateObject();
            add_text(one, "streamId", id_of(next_name(&names)));
            cJSON_AddItemToArray(all, one);
        }
        add_text(object, "contentType", state->content_type);
    }
    answer_object(c, object);
}

static void ask(struct client *c, struct slice name, unsigned what)
{
    struct shards *shards = &c->router->shards;
    struct request *request = request_new(shards, shards_of(shards, name), c, answered);
    wire_put_estuary(&request->frame, &(struct wire_estuary){.id = request->id, .name = name, .what = (uint8_t)what});
    request->repeatable = true;
    c->exchange.text = xslicedup(name);
    c->exchange.estuary = (uint8_t)what;
    client_set_state(c, CLIENT_WAITING);
    if (!request_send(shards, request))
        answer_error(c, ERR_OVERLOADED);
}

void verb_estuary(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    (void)head;
    (void)body;
    ask(c, name, WIRE_ESTUARY_LOOK);
}

void verb_estuary_touch(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    (void)head;
    (void)body;
    ask(c, name, WIRE_ESTUARY_TOUCH);
}

void verb_estuary_delete(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    (void)body;
    bool manages = auth_check(c, head, name, SCOPE_MANAGE, NULL) == ERR_NONE;
    ask(c, name, manages ? WIRE_ESTUARY_DELETE : WIRE_ESTUARY_DELETE_OWNED);
}
