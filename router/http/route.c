#include "router/http/route.h"

#include "common/origin.h"
#include "common/percent.h"
#include "common/project.h"

#define STREAM_PREFIX "/v1/stream/"
#define CONFIG_PREFIX "/v1/config/"
#define ESTUARY_PREFIX "/v1/estuary/"
#define USAGE_PREFIX "/v1/usage/"
#define STREAMS_PREFIX "/v1/streams/"
#define DEFAULT_PROJECT PROJECT_DEFAULT "/"

/* The first segment under the stream root is reserved for the protocol's own APIs (PROTOCOL.md 6). */
static bool route_is_reserved(struct slice first)
{
    return slice_equal(first, SLICE("__ds"));
}

/* Decodes rest, what follows the prefix, to room after `used` bytes that are there already. */
static enum error route_decode(struct slice rest, char *room, size_t used, size_t *len)
{
    if (!percent_decode(rest, room + used, len))
        return ERR_INVALID_PATH;
    *len += used;
    return ERR_NONE;
}

static enum error route_parse_default(struct slice rest, char *room, struct slice *name)
{
    size_t prefix = sizeof DEFAULT_PROJECT - 1, len = 0;
    memcpy(room, DEFAULT_PROJECT, prefix);
    enum error error = route_decode(rest, room, prefix, &len);
    if (error != ERR_NONE)
        return error;
    if (len == prefix)
        return ERR_MISSING_PROJECT_OR_STREAM_ID;
    *name = slice_of(room, len);
    return route_is_reserved(slice_of(room + prefix, len - prefix)) ? ERR_NOT_FOUND : ERR_NONE;
}

static enum error route_parse_project(struct slice rest, const char *slash, char *room, struct slice *name)
{
    size_t project = 0, len = 0;
    struct slice head = slice_of(rest.data, (size_t)(slash - rest.data));
    struct slice tail = slice_of(slash + 1, rest.len - head.len - 1);
    enum error error = route_decode(head, room, 0, &project);
    if (error != ERR_NONE)
        return error;
    if (!project_name_valid(slice_of(room, project)))
        return ERR_MISSING_PROJECT_OR_STREAM_ID;
    if (route_is_reserved(slice_of(room, project)))
        return ERR_NOT_FOUND;
    room[project] = '/';
    error = route_decode(tail, room, project + 1, &len);
    if (error != ERR_NONE)
        return error;
    *name = slice_of(room, len);
    return tail.len ? ERR_NONE : ERR_MISSING_PROJECT_OR_STREAM_ID;
}

static bool route_begins(struct slice path, struct slice with)
{
    return path.len >= with.len && memcmp(path.data, with.data, with.len) == 0;
}

/* What follows the prefix is a project. */
static enum error route_parse_of_project(struct slice path, struct slice prefix, enum route_kind kind, char *room,
                                         struct route *route)
{
    size_t len = 0;
    enum error error = route_decode(slice_of(path.data + prefix.len, path.len - prefix.len), room, 0, &len);
    *route = (struct route){.kind = kind, .name = slice_of(room, len)};
    if (error == ERR_NONE && !project_name_valid(route->name))
        error = ERR_INVALID_PATH;
    return error;
}

bool route_reachable(struct slice name)
{
    for (size_t at = 0, end; at <= name.len; at = end + 1) {
        for (end = at; end < name.len && name.data[end] != '/';)
            end++;
        struct slice segment = slice_of(name.data + at, end - at);
        if (slice_equal(segment, SLICE(".")) || slice_equal(segment, SLICE("..")))
            return false;
    }
    return true;
}

/* rest is "{project}/{stream}". */
static enum error route_parse_pair(struct slice rest, enum route_kind kind, char *room, struct route *route)
{
    const char *slash = rest.len ? memchr(rest.data, '/', rest.len) : NULL;
    *route = (struct route){.kind = kind};
    return slash ? route_parse_project(rest, slash, room, &route->name) : ERR_MISSING_PROJECT_OR_STREAM_ID;
}

/* rest is "{project}/{estuary}", with "/touch" behind it for methods that an estuary does not have. */
static enum error route_parse_estuary(struct slice rest, enum http_method method, char *room, struct route *route)
{
    const struct slice touch = SLICE("/touch");
    struct slice before = slice_of(rest.data, rest.len > touch.len ? rest.len - touch.len : 0);
    bool itself = method == HTTP_GET || method == HTTP_DELETE;
    if (!itself && before.len && memchr(before.data, '/', before.len) &&
        slice_equal(slice_of(rest.data + before.len, touch.len), touch))
        return route_parse_pair(before, ROUTE_ESTUARY_TOUCH, room, route);
    return route_parse_pair(rest, ROUTE_ESTUARY, room, route);
}

/* Whatever has no meaning for subscriptions is about an estuary of a project called "subscribe". */
static enum error route_parse_estuaries(struct slice path, enum http_method method, char *room, struct route *route)
{
    const struct slice estuary = SLICE(ESTUARY_PREFIX), subscribe = SLICE(ESTUARY_PREFIX "subscribe/");
    struct slice rest = slice_of(path.data + subscribe.len, path.len - subscribe.len);
    bool many = route_begins(path, subscribe) && !(rest.len && memchr(rest.data, '/', rest.len));
    if (!route_begins(path, subscribe) || method == HTTP_GET || (many && method == HTTP_DELETE))
        return route_parse_estuary(slice_of(path.data + estuary.len, path.len - estuary.len), method, room, route);
    if (many)
        return route_parse_of_project(path, subscribe, ROUTE_SUBSCRIPTIONS, room, route);
    return route_parse_pair(rest, ROUTE_SUBSCRIPTION, room, route);
}

static enum error route_parse_streams(struct slice path, char *room, struct route *route)
{
    const struct slice prefix = SLICE(STREAMS_PREFIX);
    struct slice rest = slice_of(path.data + prefix.len, path.len - prefix.len);
    if (!rest.len || !memchr(rest.data, '/', rest.len))
        return route_parse_of_project(path, prefix, ROUTE_STREAMS, room, route);
    return route_parse_pair(rest, ROUTE_SHOW, room, route);
}

static bool route_parse_fixed(struct slice path, struct route *route)
{
    static const struct {
        struct slice path;
        enum route_kind kind;
    } fixed[] = {{{"/", 1}, ROUTE_ROOT},
                 {{"/health", 7}, ROUTE_HEALTH},
                 {{"/metrics", 8}, ROUTE_METRICS},
                 {{"/v1/streams", 11}, ROUTE_STREAMS}};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (slice_equal(path, fixed[i].path)) {
            *route = (struct route){.kind = fixed[i].kind, .name = SLICE("")};
            return true;
        }
    return false;
}

enum error route_parse(struct slice path, enum http_method method, size_t max_path, char room[ROUTE_NAME_MAX],
                       struct route *route, struct detail *detail)
{
    const struct slice prefix = SLICE(STREAM_PREFIX), config = SLICE(CONFIG_PREFIX), usage = SLICE(USAGE_PREFIX);
    if (path.len > max_path || path.len > ROUTE_PATH_MAX)
        return detail_say(detail, ERR_PATH_TOO_LONG, "the path has %zu bytes; limits.max_path allows %zu", path.len,
                          max_path);
    if (route_parse_fixed(path, route))
        return ERR_NONE;
    if (route_begins(path, config))
        return route_parse_of_project(path, config, ROUTE_CONFIG, room, route);
    if (route_begins(path, usage))
        return route_parse_of_project(path, usage, ROUTE_USAGE, room, route);
    if (route_begins(path, SLICE(STREAMS_PREFIX)))
        return route_parse_streams(path, room, route);
    if (route_begins(path, SLICE(ESTUARY_PREFIX)))
        return route_parse_estuaries(path, method, room, route);
    if (!route_begins(path, prefix))
        return ERR_NOT_FOUND;
    struct slice rest = slice_of(path.data + prefix.len, path.len - prefix.len);
    const char *slash = rest.len ? memchr(rest.data, '/', rest.len) : NULL;
    *route = (struct route){.kind = ROUTE_STREAM};
    return slash ? route_parse_project(rest, slash, room, &route->name) : route_parse_default(rest, room, &route->name);
}

/* What follows the origin of a URL, if the request is sent to the same one; anything else as it is. */
static struct slice route_without_origin(struct slice url, const struct http_head *head)
{
    const char *mark = url.len && *url.data != '/' ? memmem(url.data, url.len, "://", 3) : NULL;
    size_t skip = mark ? (size_t)(mark - url.data) + 3 : 0;
    const char *path = mark ? memchr(url.data + skip, '/', url.len - skip) : NULL;
    if (!path)
        return url;
    struct slice origin = slice_of(url.data, (size_t)(path - url.data));
    bool same = head->origin.data
                    ? slice_equal(origin, head->origin)
                    : route_begins(url, SLICE("http")) && origin_is_host(origin, head->headers[HTTP_HOST_HEADER]);
    return same ? slice_of(path, url.len - origin.len) : url;
}

enum error route_parse_fork(const struct http_head *head, size_t max_path, char room[ROUTE_NAME_MAX],
                            struct slice *name)
{
    struct slice path = route_without_origin(head->headers[HTTP_STREAM_FORKED_FROM_HEADER], head);
    struct route route;
    if (!path.len || memchr(path.data, '?', path.len) || memchr(path.data, '#', path.len))
        return ERR_INVALID_FORK_SOURCE;
    if (route_parse(path, HTTP_GET, max_path, room, &route, NULL) != ERR_NONE || route.kind != ROUTE_STREAM)
        return ERR_INVALID_FORK_SOURCE;
    *name = route.name;
    return ERR_NONE;
}

const char *route_name(enum route_kind kind)
{
    static const char *const names[] = {
        [ROUTE_ROOT] = "root",
        [ROUTE_HEALTH] = "health",
        [ROUTE_METRICS] = "metrics",
        [ROUTE_STREAM] = "stream",
        [ROUTE_CONFIG] = "config",
        [ROUTE_USAGE] = "usage",
        [ROUTE_STREAMS] = "streams",
        [ROUTE_SHOW] = "show",
        [ROUTE_SUBSCRIPTION] = "subscription",
        [ROUTE_SUBSCRIPTIONS] = "subscriptions",
        [ROUTE_ESTUARY] = "estuary",
        [ROUTE_ESTUARY_TOUCH] = "estuary_touch",
    };
    return names[kind];
}
