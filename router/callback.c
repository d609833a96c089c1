#include "router/callback.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <strings.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/random.h"
#include "router/answer.h"
#include "router/dispatch.h"
#include "router/router.h"

#define HEADER_MAX ((size_t)8 << 10) /* of one header that is handed on */

/* What is asked about one request. */
struct question {
    struct callbacks *all;
    struct hold_list waiting; /* the request, unless its client is gone */
    struct web_question web;
    uint64_t key;     /* what its answer is remembered under */
    enum scope scope; /* as the answer's head says */
    uint64_t keep_ms;
};

struct callback_answer {
    uint64_t key, until_ms;
    struct decision decision;
};

/* With its end, so that no two texts run into one. */
static uint64_t mix(uint64_t hash, struct slice text)
{
    return hash_add(hash_add(hash, text), SLICE("\xff"));
}

/* ---- what is decided ---- */

static void decide(struct question *q, struct decision decision)
{
    if (q->waiting.first)
        hold_client(&q->waiting)->decision = decision;
    hold_resume(&q->waiting, dispatch_decided);
}

static void remember(struct question *q, struct decision decision)
{
    struct callbacks *all = q->all;
    uint64_t most = all->router->cfg->auth_callback_cache;
    struct callback_answer *place = &all->answers[q->key % CALLBACK_ANSWERS];
    uint64_t keep = q->keep_ms < most ? q->keep_ms : most;
    if (keep)
        *place = (struct callback_answer){q->key, all->router->now_ms + keep, decision};
}

static struct decision when_down(struct callbacks *all, const char *why, long status)
{
    bool allow = strcmp(all->router->cfg->auth_callback_down, "allow") == 0;
    if (!all->down)
        log_warn("auth.callback_url: %s (status %ld): requests are %s", why, status, allow ? "allowed" : "refused");
    all->down = true;
    return (struct decision){allow ? ERR_NONE : ERR_AUTH_UNAVAILABLE, SCOPE_MANAGE};
}

static void answered(void *ctx, const struct web_answer *answer)
{
    struct question *q = ctx;
    long status = answer->status;
    q->all->waiting--;
    if (answer->failure || status >= 500 || status < 200) {
        decide(q, when_down(q->all, answer->failure ? answer->failure : "it is broken", status));
        free(q);
        return;
    }
    if (q->all->down)
        log_info("auth.callback_url: it answers again");
    q->all->down = false;
    struct decision decision = {.scope = q->scope};
    if (status >= 300)
        decision.error = status == 401 ? ERR_UNAUTHORIZED : ERR_FORBIDDEN;
    remember(q, decision);
    decide(q, decision);
    free(q);
}

static bool same_name(struct slice name, struct slice lower)
{
    return name.len == lower.len && strncasecmp(name.data, lower.data, name.len) == 0;
}

static void on_header(void *ctx, struct slice name, struct slice value)
{
    struct question *q = ctx;
    if (same_name(name, SLICE("stream-auth-scope"))) {
        q->scope = scope_of(value); /* what is no scope allows nothing */
    } else if (same_name(name, SLICE("cache-control"))) {
        const char *age = memmem(value.data, value.len, "max-age=", 8);
        q->keep_ms = age ? strtoull(age + 8, NULL, 10) * 1000 : 0;
    }
}

void callback_init(struct callbacks *all, struct router *router)
{
    *all = (struct callbacks){.router = router};
    if (strcmp(router->cfg->auth_mode, "callback") != 0)
        return;
    all->on = true;
    all->seed = random_secret();
    all->answers = xcalloc(CALLBACK_ANSWERS, sizeof *all->answers);
}

/* ---- asking ---- */

/* The value of a header in a head as it came, or an empty slice. */
static struct slice header_of(struct slice bytes, struct slice name)
{
    while (bytes.len) {
        const char *end = memchr(bytes.data, '\n', bytes.len);
        size_t len = end ? (size_t)(end - bytes.data) + 1 : bytes.len;
        struct slice line = slice_of(bytes.data, len);
        bytes = slice_of(bytes.data + len, bytes.len - len);
        if (line.len < name.len + 3 || line.data[name.len] != ':' || strncasecmp(line.data, name.data, name.len) != 0)
            continue;
        return slice_of(line.data + name.len + 1, line.len - name.len - 3); /* without CRLF */
    }
    return (struct slice){0};
}

/* Hands a header on, and mixes it into the key. */
static void add_header(struct question *q, struct slice name, struct slice value)
{
    q->key = mix(mix(q->key, name), value);
    if (!value.data || value.len > HEADER_MAX)
        return;
    buf_add_slice(&q->web.headers, name);
    buf_add(&q->web.headers, ":", 1);
    buf_add_slice(&q->web.headers, value);
    buf_add(&q->web.headers, "", 1);
}

static void add_headers(struct question *q, const char *names, struct slice bytes)
{
    while (*names) {
        size_t len = strcspn(names, " ");
        if (len)
            add_header(q, slice_of(names, len), header_of(bytes, slice_of(names, len)));
        names += len + strspn(names + len, " ");
    }
}

static void add_text(cJSON *object, const char *name, struct slice text)
{
    char *copy = xslicedup(text);
    cJSON_AddStringToObject(object, name, copy);
    free(copy);
}

static char *payload_of(const struct http_head *head, struct slice resource)
{
    const char *slash = memchr(resource.data, '/', resource.len);
    size_t project = slash ? (size_t)(slash - resource.data) : resource.len;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "method", dispatch_method_name(head->method));
    add_text(object, "path", head->path);
    add_text(object, "project", slice_of(resource.data, project));
    if (slash)
        add_text(object, "stream", slice_of(slash + 1, resource.len - project - 1));
    char *text = cJSON_PrintUnformatted(object), *payload = xstrdup(text);
    cJSON_free(text);
    cJSON_Delete(object);
    return payload;
}

void callback_ask(struct client *c, const struct http_head *head, struct slice bytes, struct slice body,
                  struct slice resource)
{
    struct callbacks *all = &c->router->callbacks;
    const struct config *cfg = all->router->cfg;
    struct question *q = xcalloc(1, sizeof *q);
    *q = (struct question){.all = all, .scope = SCOPE_MANAGE};
    q->web = (struct web_question){
        .url = cfg->auth_callback_url,
        .timeout_ms = cfg->auth_callback_timeout,
        .payload = payload_of(head, resource),
        .header = on_header,
        .done = answered,
        .ctx = q,
    };
    q->key = mix(all->seed, slice_str(q->web.payload));
    add_headers(q, cfg->auth_callback_headers, bytes);
    const struct callback_answer *known = &all->answers[q->key % CALLBACK_ANSWERS];
    bool remembered = known->key == q->key && known->until_ms > all->router->now_ms;
    if (remembered || all->waiting >= cfg->auth_callback_waiting) {
        c->decision = remembered ? known->decision : (struct decision){.error = ERR_OVERLOADED};
        free(q->web.payload);
        buf_clear(&q->web.headers);
        free(q);
        dispatch_decided(c, head, bytes, body);
        return;
    }
    static const char type[] = "Content-Type: application/json";
    buf_add(&q->web.headers, type, sizeof type);
    all->waiting++;
    hold_request(&q->waiting, c, bytes, body);
    web_ask(&all->router->web, &q->web);
}
