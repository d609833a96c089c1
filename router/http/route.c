/* From a path to a route and a name, by the patterns in common/routes.def:
 *
 *     /v1/stream/app/logs%20a/1
 *     `--literal-'`p' `-stream-'     --> ROUTE_STREAM, "app/logs a/1"
 *     /v1/stream/jobs                --> ROUTE_STREAM, "_default/jobs"
 *
 * Happy path: every pattern is tried and the best match is kept; only then is the name decoded, into the caller's room.
 * The path is split before it is decoded, so an encoded slash (%2F) never separates project and stream.
 *
 * Failure modes: No pattern begins like the path: NOT_FOUND. One does, but a part is missing or broken: an error that
 * says which. Behind /v1/stream/, a first segment "__ds" belongs to the protocol:
 * NOT_FOUND. */
#include "router/http/route.h"

#include "common/origin.h"
#include "common/percent.h"
#include "common/project.h"

#define DEFAULT_PROJECT PROJECT_DEFAULT "/"
#define PATHS_MAX 2 /* of one route */

/* What stands for the parameters of a pattern. */
enum route_parameters {
    PARAMETERS_NONE,
    PARAMETERS_PROJECT, /* a project and nothing else */
    PARAMETERS_STREAM,  /* a stream of project _default */
    PARAMETERS_PAIR     /* a project, a slash, and a name that may have more of them */
};

/* "/v1/estuary/{project}/{estuary}/touch" begins with "/v1/estuary/" and ends with "/touch". */
struct route_pattern {
    struct slice begin, end;
    enum route_parameters parameters;
    const char *text; /* as GET / lists it; NULL: the route has no such pattern */
};

static const struct {
    const char *name;
    struct route_pattern patterns[PATHS_MAX];
    unsigned methods; /* bit 1 << HTTP_GET: it takes GET */
} route_table[ROUTE_COUNT] = {
#define PATH(begin, kind, parameters, end)                                                                             \
    {{begin, sizeof begin - 1}, {end, sizeof end - 1}, PARAMETERS_##kind, begin parameters end},
#define ON(method, scope, handler, operation, ids) | 1u << HTTP_##method
#define ROUTE(ID, name, paths, methods) [ROUTE_##ID] = {name, {paths}, 0u methods},
#include "common/routes.def"
#undef ROUTE
#undef ON
#undef PATH
};

const char *route_name(enum route_kind kind)
{
    return route_table[kind].name;
}

const char *route_path(enum route_kind kind, size_t number)
{
    return number < PATHS_MAX ? route_table[kind].patterns[number].text : NULL;
}

/* ---- the name in a path ---- */

/* The first segment under the stream root is reserved for the protocol's own APIs (PROTOCOL.md 6). */
static bool route_is_reserved(struct slice first)
{
    return slice_equal(first, SLICE("__ds"));
}

/* Decodes `rest` into the room, behind `used` bytes that are there already. Decoding never makes a text longer, so
 * ROUTE_NAME_MAX is enough for any path of up to ROUTE_PATH_MAX bytes and the default project. */
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

/* The rest is a project and nothing else: /v1/config/{project}. */
static enum error route_parse_project_alone(struct slice rest, char *room, struct slice *name)
{
    size_t len = 0;
    enum error error = route_decode(rest, room, 0, &len);
    *name = slice_of(room, len);
    return error == ERR_NONE && !project_name_valid(*name) ? ERR_INVALID_PATH : error;
}

static enum error route_parse_pair(struct slice rest, char *room, struct slice *name)
{
    const char *slash = rest.len ? memchr(rest.data, '/', rest.len) : NULL;
    return slash ? route_parse_project(rest, slash, room, name) : ERR_MISSING_PROJECT_OR_STREAM_ID;
}

static enum error route_parse_name(enum route_parameters parameters, struct slice rest, char *room, struct slice *name)
{
    switch (parameters) {
    case PARAMETERS_NONE:
        return ERR_NONE;
    case PARAMETERS_PROJECT:
        return route_parse_project_alone(rest, room, name);
    case PARAMETERS_STREAM:
        return route_parse_default(rest, room, name);
    case PARAMETERS_PAIR:
        return route_parse_pair(rest, room, name);
    }
    return ERR_NOT_FOUND;
}

bool route_reachable(struct slice name)
{
    for (size_t at = 0, end; at <= name.len; at = end + 1) {
        for (end = at; end < name.len && name.data[end] != '/';)
            end++;
        struct slice segment = slice_part(name, at, end - at);
        if (slice_equal(segment, SLICE(".")) || slice_equal(segment, SLICE("..")))
            return false;
    }
    return true;
}

/* ---- which route ---- */

/* How well a pattern fits a path. */
struct route_match {
    enum route_kind kind;
    const struct route_pattern *pattern; /* NULL: none */
    struct slice rest;                   /* of the path: what stands for the parameters */
    bool fits, takes;                    /* the path is of this pattern; and the route takes the method */
    size_t literal;                      /* bytes of the pattern that are no parameters */
};

static bool route_ends(struct slice text, struct slice with)
{
    return text.len >= with.len && memcmp(text.data + text.len - with.len, with.data, with.len) == 0;
}

/* What stands for the parameters has a slash where they are a pair, and only there. */
static bool route_rest_fits(enum route_parameters parameters, struct slice rest)
{
    bool slash = rest.len && memchr(rest.data, '/', rest.len);
    return slash == (parameters == PARAMETERS_PAIR);
}

/* Every request asks this of every pattern. The last byte alone tells most of them apart. */
static bool route_begins(const struct route_pattern *pattern, struct slice path)
{
    size_t len = pattern->begin.len;
    return path.len >= len && path.data[len - 1] == pattern->begin.data[len - 1] &&
           memcmp(path.data, pattern->begin.data, len) == 0;
}

/* False: the path has nothing to do with this pattern. True without match->fits: it begins like it, and can be said to
 * be malformed. */
static bool route_match_pattern(const struct route_pattern *pattern, struct slice path, struct route_match *match)
{
    match->pattern = pattern;
    match->rest = slice_from(path, pattern->begin.len);
    match->literal = pattern->begin.len + pattern->end.len;
    match->fits = true;
    if (pattern->parameters == PARAMETERS_NONE)
        return match->rest.len == 0;
    match->fits = route_ends(match->rest, pattern->end);
    if (match->fits)
        match->rest.len -= pattern->end.len;
    match->fits = match->fits && route_rest_fits(pattern->parameters, match->rest);
    return true;
}

static bool route_match_better(const struct route_match *a, const struct route_match *b)
{
    if (a->fits != b->fits)
        return a->fits;
    return a->takes != b->takes ? a->takes : a->literal > b->literal;
}

/* The best match. pattern NULL: none begins like the path. A match without the method still wins over none, so
 * that the dispatcher can answer 405 instead of 404. */
static struct route_match route_find(struct slice path, enum http_method method)
{
    struct route_match best = {0};
    for (enum route_kind kind = 0; kind < ROUTE_COUNT; kind++)
        for (size_t i = 0; i < PATHS_MAX && route_table[kind].patterns[i].text; i++) {
            if (!route_begins(&route_table[kind].patterns[i], path))
                continue;
            struct route_match match = {.kind = kind, .takes = route_table[kind].methods >> method & 1};
            if (route_match_pattern(&route_table[kind].patterns[i], path, &match) && route_match_better(&match, &best))
                best = match;
        }
    return best;
}

enum error route_parse(struct slice path, enum http_method method, size_t max_path, char room[ROUTE_NAME_MAX],
                       struct route *route, struct detail *detail)
{
    if (path.len > max_path || path.len > ROUTE_PATH_MAX)
        return detail_say(detail, ERR_PATH_TOO_LONG, "the path has %zu bytes; limits.max_path allows %zu", path.len,
                          max_path);
    struct route_match match = route_find(path, method);
    if (!match.pattern)
        return ERR_NOT_FOUND;
    *route = (struct route){.kind = match.kind, .name = SLICE("")};
    return route_parse_name(match.pattern->parameters, match.rest, room, &route->name);
}

/* ---- the source of a fork ---- */

/* A URL without its origin, if that is the origin this request was sent to; any other text as it is. A URL of another
 * server then fails to parse as a path: forks are made from streams of this server only. */
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
                    : slice_begins(url, SLICE("http")) && origin_is_host(origin, head->headers[HTTP_HOST_HEADER]);
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
