/* A list of names is a run of bytes: kind, name, NUL; kind, name, NUL.
 *
 *     \1 app/log \0    \2 app/inbox \0    a fork's source, an estuary
 *
 * Each kind stands for a request of its own (the table below), which a callback is asked about. A token must be good
 * for every name (auth_check_named). */
#include "router/auth/named.h"

#include "common/config.h"

struct stands_for {
    enum http_method method;
    enum scope scope;
    const char *prefix, *refusal;
};

static const struct stands_for named_table[] = {
    [NAMED_PATH] = {HTTP_OTHER, SCOPE_NONE, "", ""},
    [NAMED_SOURCE] = {HTTP_GET, SCOPE_READ, "/v1/stream/", "the stream in Stream-Forked-From may not be read"},
    [NAMED_ESTUARY] = {HTTP_POST, SCOPE_WRITE, "/v1/stream/", "the stream in estuaryId may not be written"},
    [NAMED_APPEND] = {HTTP_POST, SCOPE_WRITE, "/v1/stream/", "one of the batch's streams may not be written"},
    [NAMED_STREAM] = {HTTP_POST, SCOPE_WRITE, "/v1/estuary/subscribe/", "one of streams may not be subscribed to"},
};

enum http_method named_method(enum named kind)
{
    return named_table[kind].method;
}

const char *named_prefix(enum named kind)
{
    return named_table[kind].prefix;
}

enum scope named_scope(enum named kind)
{
    return named_table[kind].scope;
}

const char *named_refusal(enum named kind)
{
    return named_table[kind].refusal;
}

void named_add(struct buf *names, enum named kind, struct slice name)
{
    buf_add_byte(names, (uint8_t)kind);
    buf_add_slice(names, name);
    buf_add_byte(names, 0);
}

bool named_next(struct slice *names, enum named *kind, struct slice *name)
{
    if (!names->len)
        return false;
    *kind = (enum named)(uint8_t)names->data[0];
    *name = slice_of(names->data + 1, strnlen(names->data + 1, names->len - 1));
    *names = slice_of(name->data + name->len + 1, names->len - name->len - 2);
    return true;
}

void named_in_head(const struct http_head *head, enum route_kind route, const struct config *cfg, struct buf *names)
{
    struct slice source;
    char room[ROUTE_NAME_MAX];
    if (head->headers[HTTP_STREAM_FORKED_FROM_HEADER].data && head->method == HTTP_PUT && route == ROUTE_STREAM &&
        route_parse_fork(head, cfg->limits_max_path, room, &source) == ERR_NONE)
        named_add(names, NAMED_SOURCE, source);
}
