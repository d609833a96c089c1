/* From a request's head to its line in the log:
 *
 *     request_log_begin     head whole: a note with id, path, query, address; only if the request may need one
 *     request_log_answer    answer begins: X-Request-Id, if the request has or gets an id
 *     request_log_end       answer queued: failed, slow or every request gets its line; the note is freed
 *
 *     fields, in this order: id method route path query status reason bytes ms ready_ms client project
 *
 * Happy path: with log.access = off and no X-Request-Id there is no note, so such a request allocates nothing here.
 *
 * Failure modes: The client goes before its answer: reason=CLIENT_GONE, without a status. An answer of 5xx gets an id
 * even if the request had no note, so that the client can name it. Secrets stay out: of the query only the parameters
 * of a read are kept, tokens in the path are replaced, and headers are never looked at. */
#include "router/observe/request_log.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/project.h"
#include "common/random.h"
#include "common/redact.h"
#include "router/http/http.h"
#include "router/http/query.h"
#include "router/http/route.h"
#include "router/router.h"

#define ID_MAX 64
#define PATH_SHOWN 1024u
#define VALUE_SHOWN 40u

struct request_note {
    bool asked;          /* the request came with an id, valid or not: then the answer has one */
    char id[ID_MAX + 1]; /* "": it has none */
    char address[INET6_ADDRSTRLEN + 8];
    size_t path_len, query_len;
    char text[]; /* path, query as it may be shown */
};

/* ---- what may be logged ---- */

bool request_id_valid(struct slice id)
{
    if (!id.len || id.len > ID_MAX || redact_begins_token(id))
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!redact_is_word(id.data[i]) && id.data[i] != ':')
            return false;
    return true;
}

/* Whether a value looks like one of a read: an offset, a number, a mode. Anything else could be a secret that was put
 * into the wrong parameter, and is logged as "?". */
static bool request_log_is_harmless(struct slice value)
{
    if (slice_equal(value, SLICE("now")) || slice_equal(value, SLICE("long-poll")) || slice_equal(value, SLICE("sse")))
        return true;
    for (size_t i = 0; i < value.len; i++)
        if ((value.data[i] < '0' || value.data[i] > '9') && value.data[i] != '_' && value.data[i] != '-')
            return false;
    return value.len <= VALUE_SHOWN;
}

size_t request_query_shown(char out[REQUEST_QUERY_MAX], struct slice query)
{
    static const struct slice names[] = {{"offset", 6}, {"live", 4}, {"cursor", 6}, {"limit", 5}};
    size_t len = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct slice value = query_value(query, '&', names[i]);
        if (!value.data)
            continue;
        if (!request_log_is_harmless(value))
            value = SLICE("?");
        len += (size_t)snprintf(out + len, REQUEST_QUERY_MAX - len, "%s%s=%.*s", len ? "&" : "", names[i].data,
                                (int)value.len, value.data);
    }
    return len;
}

/* ---- the note ---- */

static void request_log_note_address(const struct request *req, struct request_note *note)
{
    struct sockaddr_storage peer;
    char host[INET6_ADDRSTRLEN] = "";
    if (!address_peer(req->connection->socket.fd, &peer))
        return;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&peer;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&peer;
    if (peer.ss_family == AF_INET && inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host))
        snprintf(note->address, sizeof note->address, "%s:%u", host, ntohs(v4->sin_port));
    if (peer.ss_family == AF_INET6 && inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host))
        snprintf(note->address, sizeof note->address, "[%.45s]:%u", host, ntohs(v6->sin6_port));
}

static struct request_note *request_log_note_new(struct request *req, struct slice path, struct slice query)
{
    char shown[REQUEST_QUERY_MAX];
    bool logged = req->router->cfg->log_access != LOG_ACCESS_OFF;
    size_t path_len = !logged ? 0 : path.len < PATH_SHOWN ? path.len : PATH_SHOWN;
    size_t query_len = logged && query.data ? request_query_shown(shown, query) : 0;
    struct request_note *note = xcalloc(1, sizeof *note + path_len + query_len);
    if (path_len)
        memcpy(note->text, path.data, path_len);
    note->path_len = redact_tokens(note->text, path_len);
    memcpy(note->text + note->path_len, shown, query_len);
    note->query_len = query_len;
    if (logged)
        request_log_note_address(req, note);
    req->stats.note = note;
    return note;
}

static void request_log_set_id(struct request_note *note, struct slice id)
{
    note->asked = id.data;
    if (id.data && request_id_valid(id))
        memcpy(note->id, id.data, id.len);
}

void request_log_begin(struct request *req, const struct http_head *head)
{
    struct slice id = head->headers[HTTP_REQUEST_ID_HEADER];
    if (req->router->cfg->log_access == LOG_ACCESS_OFF && !id.data)
        return;
    request_log_set_id(request_log_note_new(req, head->path, head->query), id);
}

void request_log_resume(struct request *req, struct slice name, struct slice id)
{
    char path[PATH_SHOWN];
    if (req->router->cfg->log_access == LOG_ACCESS_OFF && !id.len)
        return;
    int len = snprintf(path, sizeof path, "/v1/stream/%.*s", (int)name.len, name.data);
    request_log_set_id(request_log_note_new(req,
                                            slice_of(path, (size_t)len < sizeof path ? (size_t)len : sizeof path - 1),
                                            (struct slice){0}),
                       id);
}

void request_log_answer(struct request *req, struct buf *head, int status)
{
    struct request_note *note = req->stats.note;
    bool wants = status >= 500 || req->router->cfg->log_access == LOG_ACCESS_ALL;
    if (!note && !wants)
        return;
    if (!note)
        note = request_log_note_new(req, (struct slice){0}, (struct slice){0});
    if (!*note->id && (wants || note->asked))
        snprintf(note->id, sizeof note->id, "%016" PRIx64, random_next(&req->router->random));
    if (*note->id && !req->kept)
        response_add(head, "X-Request-Id", slice_str(note->id));
}

struct slice request_log_id(const struct request *req)
{
    return req->stats.note ? slice_str(req->stats.note->id) : SLICE("");
}

void request_log_drop(struct request *req)
{
    free(req->stats.note);
    req->stats.note = NULL;
}

/* ---- the line ---- */

/* When the request was served. A live read that has everything waits for news, which is not slow: its time ends when
 * it begins to wait. */
static uint64_t request_log_served_us(const struct request_stats *a, uint64_t now_us)
{
    uint64_t served = a->answered_us ? a->answered_us : now_us;
    return a->waits_us && a->waits_us < served ? a->waits_us : served;
}

/* The note has the path only, so the project is parsed from it again: lines are rare, requests are not. */
static void request_log_add_project(struct log_line *line, const struct request *req)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    const struct request_note *note = req->stats.note;
    struct slice path = slice_of(note->text, note->path_len);
    if (route_parse(path, req->stats.method, req->router->cfg->limits_max_path, room, &route, NULL) != ERR_NONE)
        return;
    struct slice project = project_of(route.name);
    if (project.len)
        log_line_text(line, "project", project);
}

static void request_log_add_fields(struct log_line *line, const struct request *req, uint64_t now_us)
{
    const struct request_stats *a = &req->stats;
    const struct request_note *note = a->note;
    if (*note->id)
        log_line_text(line, "id", slice_str(note->id));
    log_line_text(line, "method", slice_str(http_method_name(a->method)));
    if (a->routed)
        log_line_text(line, "route", slice_str(route_name(a->route)));
    if (note->path_len)
        log_line_text(line, "path", slice_of(note->text, note->path_len));
    if (note->query_len)
        log_line_text(line, "query", slice_of(note->text + note->path_len, note->query_len));
    if (a->status)
        log_line_number(line, "status", (uint64_t)a->status);
    if (a->error != ERR_NONE)
        log_line_text(line, "reason", slice_str(error_code(a->error)));
    else if (!a->status)
        log_line_text(line, "reason", SLICE("CLIENT_GONE"));
    log_line_number(line, "bytes", a->bytes);
    log_line_ms(line, "ms", now_us - a->began_us);
    if (a->waits_us > a->began_us) /* equal: the reader came from another router, and was ready there */
        log_line_ms(line, "ready_ms", request_log_served_us(a, now_us) - a->began_us);
    if (*note->address)
        log_line_text(line, "client", slice_str(note->address));
    if (note->path_len)
        request_log_add_project(line, req);
}

static void request_log_write_line(struct request *req, const char *kind, const char *what, uint64_t now_us)
{
    struct log_line line;
    enum log_level level = req->stats.status >= 500 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
    bool all = req->router->cfg->log_access == LOG_ACCESS_ALL;
    char message[80];
    snprintf(message, sizeof message, "%s%s%s", what, kind ? ": " : "", kind ? kind : "");
    /* The third argument names what log_begin() limits: one line of a kind. With log.access = all none is held back. */
    if (!log_begin(&line, level, all ? NULL : kind ? kind : what, slice_str(message)))
        return;
    if (!req->stats.note)
        (void)request_log_note_new(req, (struct slice){0}, (struct slice){0});
    request_log_add_fields(&line, req, now_us);
    log_end(&line);
}

static void request_log_log_request(struct request *req)
{
    static const char usual[] = "request", slow[] = "slow request", failed[] = "request failed";
    const struct request_stats *a = &req->stats;
    enum log_access mode = req->router->cfg->log_access;
    uint64_t now_us = clock_monotonic_us();
    if (a->status >= 500 || error_class(a->error) == ERROR_UNREADABLE)
        request_log_write_line(req, error_code(a->error), failed, now_us);
    else if (mode >= LOG_ACCESS_SLOW &&
             request_log_served_us(a, now_us) - a->began_us >= req->router->cfg->log_slow * 1000)
        request_log_write_line(req, NULL, slow, now_us);
    else if (mode == LOG_ACCESS_ALL)
        request_log_write_line(req, NULL, usual, now_us);
}

void request_log_end(struct request *req)
{
    if (req->router->cfg->log_access != LOG_ACCESS_OFF)
        request_log_log_request(req);
    request_log_drop(req);
}
