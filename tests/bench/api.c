#include "tests/bench/api.h"

#include <stdarg.h>
#include <stdlib.h>

#include "common/attr.h"
#include "common/log.h"
#include "common/mem.h"

#define REQUEST_MAX 4096

static void add_format(struct buf *out, const char *format, ...) PRINTF(2, 3);

static void add_format(struct buf *out, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(buf_reserve(out, REQUEST_MAX), REQUEST_MAX, format, ap);
    va_end(ap);
    if (n < 0 || n >= REQUEST_MAX)
        fatalx("a request head is longer than %d bytes", REQUEST_MAX);
    buf_grow(out, (size_t)n);
}

static char *authorization(const char *token)
{
    struct buf line = {0};
    if (*token)
        add_format(&line, "Authorization: Bearer %s\r\n", token);
    char *text = xslicedup(buf_slice(&line));
    buf_clear(&line);
    return text;
}

void target_init(struct target *target, const struct options *options)
{
    struct slice url = slice_str(options->url);
    const char *host = strstr(url.data, "://");
    host = host ? host + 3 : url.data;
    const char *path = strchr(host, '/');
    const char *colon = strchr(host, ':');
    if (!path || !colon || colon > path)
        fatalx("--url %s: http://host:port/prefix is wanted", url.data);
    target->host = xslicedup(slice_of(host, (size_t)(colon - host)));
    target->port = xslicedup(slice_of(colon + 1, (size_t)(path - colon - 1)));
    target->prefix = xstrdup(path);
    target->authorization = authorization(options->token);
    target->content_type = options->json ? "application/json" : "text/plain";
}

void target_clear(struct target *target)
{
    free(target->host);
    free(target->port);
    free(target->prefix);
    free(target->authorization);
}

static void send_body(struct buf *out, const char *method, const struct target *target, unsigned stream,
                      struct slice body)
{
    add_format(out, "%s %s%u HTTP/1.1\r\nHost: %s:%s\r\n%sContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", method,
               target->prefix, stream, target->host, target->port, target->authorization, target->content_type,
               body.len);
    buf_add_slice(out, body);
}

static void http_create(struct buf *out, const struct target *target, unsigned stream, struct slice body)
{
    send_body(out, "PUT", target, stream, body);
}

static void http_append(struct buf *out, const struct target *target, unsigned stream, struct slice body)
{
    send_body(out, "POST", target, stream, body);
}

static void durable_follow(struct buf *out, const struct target *target, unsigned stream)
{
    add_format(out, "GET %s%u?offset=now&live=sse HTTP/1.1\r\nHost: %s:%s\r\nAccept: text/event-stream\r\n\r\n",
               target->prefix, stream, target->host, target->port);
}

static void durable_poll(struct buf *out, const struct target *target, unsigned stream, const char *offset)
{
    add_format(out, "GET %s%u?offset=%s&live=long-poll HTTP/1.1\r\nHost: %s:%s\r\n\r\n", target->prefix, stream, offset,
               target->host, target->port);
}

static void nchan_follow(struct buf *out, const struct target *target, unsigned stream)
{
    add_format(out, "GET %s%u HTTP/1.1\r\nHost: %s:%s\r\nAccept: text/event-stream\r\n\r\n", target->prefix, stream,
               target->host, target->port);
}

static void redis_append(struct buf *out, const struct target *target, unsigned stream, struct slice body)
{
    char key[256];
    int len = snprintf(key, sizeof key, "%s%u", target->prefix + 1, stream);
    add_format(out, "*5\r\n$4\r\nXADD\r\n$%d\r\n%s\r\n$1\r\n*\r\n$1\r\nd\r\n$%zu\r\n", len, key, body.len);
    buf_add_slice(out, body);
    buf_add_slice(out, SLICE("\r\n"));
}

static const struct api table[] = {
    {"durable", true, false, answer_http, http_create, http_append, durable_follow, durable_poll},
    {"nchan", false, false, answer_http, http_append, http_append, nchan_follow, NULL},
    {"redis", false, true, answer_redis, redis_append, redis_append, NULL, NULL},
};

const struct api *api_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    fatalx("--api %s: durable, redis or nchan is wanted", name);
}

void api_get(struct buf *out, const struct target *target, const char *query, const char *headers)
{
    add_format(out, "GET %s%s HTTP/1.1\r\nHost: %s:%s\r\n%s\r\n", target->prefix, query, target->host, target->port,
               headers);
}
