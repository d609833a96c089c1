/* Events to libcurl and back:
 *
 *     http_client_send --> libcurl --> watch_socket, set_timer: events of the loop
 *                             ^                    |
 *                             |                    v
 *                       curl_multi_socket_action <-- on_socket, on_timer
 *                             |
 *                             `--> on_header, on_body, then take_answers --> done()
 *
 * Happy path: done() gets a status and a body; the connection is kept for the next request.
 *
 * Failure modes: No connection, no answer in time, an answer that breaks off: done() gets libcurl's text, and whether
 * anybody was there. A body that is longer than was asked for: `large`. The client is cleared: done() of all.
 * Redirections are never followed here: the caller asks http_client_redirect(), because a signature and a token must
 * not go to a host that the first one merely names. */
#include "common/http_client.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdlib.h>
#include <strings.h>

#include "common/log.h"
#include "common/mem.h"

/* A request that is under way. */
struct http_client_call {
    struct list link;
    struct http_client *client;
    struct http_client_request request;
    CURL *easy;
    struct curl_slist *headers;
    struct buf body;
    bool large;
};

/* ---- answers ---- */

static void http_client_take_out(struct http_client_call *call)
{
    struct http_client *client = call->client;
    curl_multi_remove_handle(client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    list_remove(&call->link);
}

static void http_client_call_free(struct http_client_call *call)
{
    curl_slist_free_all(call->headers);
    free(call->request.payload);
    buf_clear(&call->body);
    free(call);
}

static void http_client_finish(struct http_client_call *call, const char *failure, bool unreachable)
{
    struct http_client_answer answer = {.failure = failure, .unreachable = unreachable};
    long connects = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connects);
    /* Out of libcurl and the list before done(): the callback may send the next request, and a finished call must
     * not be in the list then. */
    http_client_take_out(call);
    answer.reused = connects == 0;
    answer.body = buf_slice(&call->body);
    answer.large = call->large;
    call->request.done(call->request.ctx, &answer);
    http_client_call_free(call);
}

void http_client_cancel(struct http_client_call *call)
{
    http_client_take_out(call);
    http_client_call_free(call);
}

static bool http_client_unreachable(CURLcode result)
{
    return result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_CONNECT ||
           result == CURLE_OPERATION_TIMEDOUT;
}

static void http_client_take_answers(struct http_client *client)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            CURLcode result = message->data.result;
            struct http_client_call *call;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
            http_client_finish(call, result == CURLE_OK ? NULL : curl_easy_strerror(result),
                               http_client_unreachable(result));
        }
}

static size_t http_client_on_header(char *data, size_t size, size_t count, void *user)
{
    struct http_client_call *call = user;
    struct slice line = slice_of(data, size * count);
    const char *colon = memchr(line.data, ':', line.len);
    if (colon && call->request.header) {
        size_t name = (size_t)(colon - line.data);
        struct slice value = slice_of(colon + 1, line.len - name - 1);
        while (value.len && strchr(" \t", *value.data))
            value = slice_of(value.data + 1, value.len - 1);
        while (value.len && strchr(" \t\r\n", value.data[value.len - 1]))
            value.len--;
        call->request.header(call->request.ctx, slice_of(line.data, name), value);
    }
    return line.len;
}

static size_t http_client_on_body(char *data, size_t size, size_t count, void *user)
{
    struct http_client_call *call = user;
    size_t len = size * count;
    if (call->request.piece)
        return call->request.piece(call->request.ctx, slice_of(data, len)) ? len : 0;
    if (!call->request.most)
        return len;
    call->large = buf_len(&call->body) + len > call->request.most;
    if (call->large)
        return 0; /* fewer bytes than came: libcurl fails the request */
    buf_add(&call->body, data, len);
    return len;
}

/* ---- libcurl in the event loop ---- */

static void http_client_on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct http_client *client = arg;
    int running;
    if (client->woken)
        client->woken(client->ctx);
    curl_multi_socket_action(client->multi, fd,
                             ((what & EV_READ) ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0),
                             &running);
    http_client_take_answers(client);
}

static void http_client_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct http_client *client = arg;
    int running;
    (void)fd;
    (void)what;
    if (client->woken)
        client->woken(client->ctx);
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    http_client_take_answers(client);
}

static int http_client_watch_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user)
{
    struct http_client *client = user;
    struct event *event = socket_user;
    (void)easy;
    /* libcurl gives back the event that curl_multi_assign() stored for this socket, NULL the first time. A change of
     * interest makes a new event, since libevent cannot change one that is pending. */
    if (event)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        short events =
            (short)(EV_PERSIST | ((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0));
        event = event_new(client->base, fd, events, http_client_on_socket, client);
        if (!event || event_add(event, NULL) != 0)
            fatalx("cannot watch a socket");
    }
    curl_multi_assign(client->multi, fd, event);
    return 0;
}

static int http_client_set_timer(CURLM *multi, long ms, void *user)
{
    struct http_client *client = user;
    const struct timeval after = {ms / 1000, ms % 1000 * 1000};
    (void)multi;
    if (ms < 0)
        evtimer_del(client->timer);
    else if (evtimer_add(client->timer, &after) != 0)
        fatalx("cannot set a timer");
    return 0;
}

/* With the first request: a process that sends none does without libcurl's tables and TLS library. */
static void http_client_start(struct http_client *client)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || !(client->multi = curl_multi_init()))
        fatalx("libcurl cannot be used");
    list_init(&client->calls);
    client->timer = evtimer_new(client->base, http_client_on_timer, client);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, http_client_watch_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, http_client_set_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, client->connections);
}

/* ---- redirections ---- */

static char *http_client_part(CURLU *url, CURLUPart what)
{
    char *text = NULL;
    return curl_url_get(url, what, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool http_client_ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len > tail && strcasecmp(text + len - tail, end) == 0;
}

static bool http_client_is_below(const char *host, const char *home)
{
    return http_client_ends_with(host, home) && host[strlen(host) - strlen(home) - 1] == '.';
}

/* A host is near if it is the same, below it, or a sibling below the same parent. An address has no names near it. */
static bool http_client_is_near(const char *host, const char *home)
{
    static const char aws[] = "amazonaws.com";
    const char *parent = strchr(home, '.');
    bool address = home[strspn(home, "0123456789.")] == '\0' || *home == '[';
    if (address || strcasecmp(host, home) == 0)
        return strcasecmp(host, home) == 0;
    return http_client_is_below(host, home) || (http_client_is_below(host, aws) && http_client_is_below(home, aws)) ||
           (parent && strchr(parent + 1, '.') && http_client_is_below(host, parent + 1));
}

/* A redirection keeps to hosts near `home`, never carries a user, and never goes from https down to http. */
static bool http_client_may_go(CURLU *to, CURLU *home)
{
    char *scheme = http_client_part(to, CURLUPART_SCHEME), *host = http_client_part(to, CURLUPART_HOST),
         *user = http_client_part(to, CURLUPART_USER);
    char *home_scheme = http_client_part(home, CURLUPART_SCHEME), *home_host = http_client_part(home, CURLUPART_HOST);
    bool may = scheme && host && home_scheme && home_host && !user && http_client_is_near(host, home_host) &&
               (strcmp(scheme, "https") == 0 || (strcmp(scheme, "http") == 0 && strcmp(home_scheme, "http") == 0));
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_free(home_scheme);
    curl_free(home_host);
    return may;
}

char *http_client_redirect(const char *url, const char *location, const char *home)
{
    char *found = NULL;
    CURLU *to = curl_url(), *from = curl_url();
    if (curl_url_set(to, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_set(to, CURLUPART_URL, location, 0) == CURLUE_OK &&
        curl_url_set(from, CURLUPART_URL, home, 0) == CURLUE_OK && http_client_may_go(to, from)) {
        char *text = http_client_part(to, CURLUPART_URL);
        found = text ? xstrdup(text) : NULL;
        curl_free(text);
    }
    curl_url_cleanup(to);
    curl_url_cleanup(from);
    return found;
}

/* ---- asking ---- */

static void http_client_take_headers(struct http_client_call *call)
{
    struct buf *lines = &call->request.headers;
    if (!call->request.aws_sigv4) /* libcurl would sign the header, and not send it */
        call->headers = curl_slist_append(call->headers, "Expect:");
    /* libcurl copies each line, so the buffer can be wiped below. */
    while (buf_len(lines)) {
        const char *line = buf_slice(lines).data;
        call->headers = curl_slist_append(call->headers, line);
        buf_consume(lines, strlen(line) + 1);
    }
    buf_wipe(lines); /* tokens */
}

static void http_client_sign(CURL *easy, const struct http_client_request *request)
{
    if (request->ca_file && *request->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
    if (!request->aws_sigv4)
        return;
    curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, request->aws_sigv4);
    curl_easy_setopt(easy, CURLOPT_USERNAME, request->user);
    curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password);
}

void http_client_clear(struct http_client *client)
{
    if (!client->multi)
        return;
    while (!list_empty(&client->calls))
        http_client_finish(LIST_OWNER(client->calls.next, struct http_client_call, link),
                           "nobody waits for it any more", false);
    curl_multi_cleanup(client->multi);
    event_free(client->timer);
    client->multi = NULL;
}

static void http_client_set_method(CURL *easy, const struct http_client_request *request)
{
    if (request->payload)
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->payload);
    if (request->method)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    if (request->method && strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (request->body.data) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.data);
    }
}

static void http_client_set_callbacks(CURL *easy, struct http_client_call *call)
{
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_client_on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_client_on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
}

struct http_client_call *http_client_send(struct http_client *client, struct http_client_request *request)
{
    struct http_client_call *call = xcalloc(1, sizeof *call);
    if (!client->multi)
        http_client_start(client);
    call->request = *request;
    call->client = client;
    list_add_first(&client->calls, &call->link);
    http_client_take_headers(call);
    CURL *easy = call->easy = curl_easy_init();
    if (!easy)
        fatalx("libcurl cannot be used");
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    http_client_set_method(easy, request);
    http_client_sign(easy, request);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Proxies that the environment names (https_proxy) are not used: requests carry tokens. */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    http_client_set_callbacks(easy, call);
    curl_multi_add_handle(client->multi, easy);
    return call;
}
