#include "router/callback.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "router/answer.h"
#include "router/dispatch.h"
#include "router/router.h"

#define HEADER_MAX ((size_t)8 << 10) /* of one header that is handed on */

/* One request that waits. */
struct question {
    struct callbacks *all;
    struct client *client; /* NULL: it is gone */
    CURL *easy;
    struct curl_slist *headers;
    char *payload;
    struct buf head, body;
    uint64_t key;     /* what its answer is remembered under */
    enum scope scope; /* as the answer's head says */
    uint64_t keep_ms;
};

struct callback_answer {
    uint64_t key, until_ms;
    struct decision decision;
};

/* A socket of libcurl's. */
struct watch {
    struct callbacks *all;
    struct event *event;
};

/* With its end, so that no two texts run into one. */
static uint64_t mix(uint64_t hash, struct slice text)
{
    return hash_add(hash_add(hash, text), SLICE("\xff"));
}

/* ---- what is decided ---- */

static void question_free(struct question *q)
{
    if (q->client)
        q->client->question = NULL;
    if (q->easy) {
        curl_multi_remove_handle(q->all->multi, q->easy);
        curl_easy_cleanup(q->easy);
        q->all->waiting--;
    }
    curl_slist_free_all(q->headers);
    free(q->payload);
    buf_clear(&q->head);
    buf_clear(&q->body);
    free(q);
}

void callback_forget(struct question *q)
{
    q->client = NULL;
    question_free(q);
}

static void decide(struct question *q, struct decision decision)
{
    struct client *c = q->client;
    struct http_head head = http_head_again(buf_slice(&q->head));
    c->question = NULL;
    q->client = NULL;
    c->decision = decision;
    client_set_state(c, CLIENT_HEAD);
    dispatch(c, &head, buf_slice(&q->body));
    question_free(q);
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

static void answered(struct question *q, CURLcode result)
{
    long status = 0;
    curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result != CURLE_OK || status >= 500 || status < 200) {
        decide(q, when_down(q->all, result != CURLE_OK ? curl_easy_strerror(result) : "it is broken", status));
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
}

static void take_answers(struct callbacks *all)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(all->multi, &left))) {
        struct question *q;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&q);
        answered(q, message->data.result);
    }
}

/* ---- libcurl in the event loop ---- */

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct callbacks *all = arg;
    int running;
    router_clock(all->router);
    curl_multi_socket_action(all->multi, fd,
                             ((what & EV_READ) ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0),
                             &running);
    take_answers(all);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct callbacks *all = arg;
    int running;
    (void)fd;
    (void)what;
    router_clock(all->router);
    curl_multi_socket_action(all->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_answers(all);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user)
{
    struct callbacks *all = user;
    struct event *event = socket_user;
    (void)easy;
    if (event)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        short events =
            (short)(EV_PERSIST | ((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0));
        event = event_new(all->router->base, fd, events, on_socket, all);
        if (!event || event_add(event, NULL) != 0)
            fatalx("cannot watch a socket");
    }
    curl_multi_assign(all->multi, fd, event);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *user)
{
    struct callbacks *all = user;
    const struct timeval after = {ms / 1000, ms % 1000 * 1000};
    (void)multi;
    if (ms < 0)
        evtimer_del(all->timer);
    else if (evtimer_add(all->timer, &after) != 0)
        fatalx("cannot set a timer");
    return 0;
}

void callback_init(struct callbacks *all, struct router *router)
{
    *all = (struct callbacks){.router = router};
    if (strcmp(router->cfg->auth_mode, "callback") != 0)
        return;
    if (!*router->cfg->auth_callback_url)
        fatal_never_restart("[auth] callback_url: auth.mode = callback wants one");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || !(all->multi = curl_multi_init()))
        fatalx("libcurl cannot be used");
    all->seed = hash_add(HASH_SEED ^ router_random(router), SLICE("callback"));
    all->timer = evtimer_new(router->base, on_timer, all);
    all->answers = xcalloc(CALLBACK_ANSWERS, sizeof *all->answers);
    curl_multi_setopt(all->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(all->multi, CURLMOPT_SOCKETDATA, all);
    curl_multi_setopt(all->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(all->multi, CURLMOPT_TIMERDATA, all);
    curl_multi_setopt(all->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)router->cfg->auth_callback_connections);
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
    char line[HEADER_MAX + 128];
    q->key = mix(mix(q->key, name), value);
    if (!value.data || value.len > HEADER_MAX || name.len > 100)
        return;
    snprintf(line, sizeof line, "%.*s:%.*s", (int)name.len, name.data, (int)value.len, value.data);
    q->headers = curl_slist_append(q->headers, line);
    explicit_bzero(line, sizeof line);
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

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    struct question *q = user;
    struct slice line = slice_of(data, size * count), value;
    if ((value = header_of(line, SLICE("stream-auth-scope"))).data) {
        while (value.len && *value.data == ' ')
            value = slice_of(value.data + 1, value.len - 1);
        q->scope = scope_of(value); /* what is no scope allows nothing */
    } else if ((value = header_of(line, SLICE("cache-control"))).data) {
        const char *age = memmem(value.data, value.len, "max-age=", 8);
        q->keep_ms = age ? strtoull(age + 8, NULL, 10) * 1000 : 0;
    }
    return line.len;
}

static size_t drop_body(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    return size * count;
}

static void start(struct question *q)
{
    const struct config *cfg = q->all->router->cfg;
    q->headers = curl_slist_append(q->headers, "Content-Type: application/json");
    q->headers = curl_slist_append(q->headers, "Expect:");
    q->easy = curl_easy_init();
    if (!q->easy)
        fatalx("libcurl cannot be used");
    curl_easy_setopt(q->easy, CURLOPT_URL, cfg->auth_callback_url);
    curl_easy_setopt(q->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(q->easy, CURLOPT_POSTFIELDS, q->payload);
    curl_easy_setopt(q->easy, CURLOPT_HTTPHEADER, q->headers);
    curl_easy_setopt(q->easy, CURLOPT_TIMEOUT_MS, (long)cfg->auth_callback_timeout);
    curl_easy_setopt(q->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(q->easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(q->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(q->easy, CURLOPT_HEADERDATA, q);
    curl_easy_setopt(q->easy, CURLOPT_WRITEFUNCTION, drop_body);
    curl_easy_setopt(q->easy, CURLOPT_PRIVATE, q);
    q->all->waiting++;
    curl_multi_add_handle(q->all->multi, q->easy);
}

void callback_ask(struct client *c, const struct http_head *head, struct slice bytes, struct slice body,
                  struct slice resource)
{
    struct callbacks *all = &c->router->callbacks;
    const struct config *cfg = all->router->cfg;
    struct question *q = xcalloc(1, sizeof *q);
    q->all = all;
    q->scope = SCOPE_MANAGE;
    q->payload = payload_of(head, resource);
    q->key = mix(all->seed, slice_str(q->payload));
    add_headers(q, cfg->auth_callback_headers, bytes);
    const struct callback_answer *known = &all->answers[q->key % CALLBACK_ANSWERS];
    bool remembered = known->key == q->key && known->until_ms > all->router->now_ms;
    if (remembered || all->waiting >= cfg->auth_callback_waiting) {
        c->decision = remembered ? known->decision : (struct decision){.error = ERR_OVERLOADED};
        question_free(q);
        dispatch(c, head, body);
        return;
    }
    buf_add_slice(&q->head, bytes);
    buf_add_slice(&q->body, body);
    q->client = c;
    c->question = q;
    client_set_state(c, CLIENT_WAITING);
    start(q);
}
