/* Rules for the request headers of a create and an append must be (PROTOCOL.md 5.1, 5.2, 4.2). Pure: from a parsed head
 * to the fields of a frame, or to what to refuse the request with, of which *detail may say more. */
#ifndef ROUTER_HANDLERS_RULES_H
#define ROUTER_HANDLERS_RULES_H

#include "common/detail.h"
#include "common/wire.h"
#include "router/http/http.h"
#include "router/http/route.h"

#define RULES_STREAM_SEQ_MAX 256
#define RULES_PRODUCER_ID_MAX 1024 /* bytes; otherwise any text that a header can carry */
#define RULES_TTL_MAX ((uint64_t)1 << 40)

/* What holds of every request: its body is not coded (RFC 9110 8.4), and it depends on nothing that is not looked at
 * (conditions.h). */
enum error rules_request(const struct http_head *head, enum route_kind kind, struct detail *detail) MUSTUSE;

/* Fills what the headers of a PUT decide: content_type, flags, ttl_s, expires_*, retention_*, fork_*, condition. The
 * slices point into the head and into the room. */
struct rules_create_room {
    char source[ROUTE_NAME_MAX];
};
enum error rules_create(const struct http_head *head, size_t max_path, struct rules_create_room *room,
                        struct wire_create *create, struct detail *detail) MUSTUSE;

/* Whether an append is stored as its body arrives: Stream-Append says so, or nothing does and by_default is set, which
 * holds for chunked bodies without producer headers. */
enum error rules_incremental(const struct http_head *head, bool by_default, bool *incremental,
                             struct detail *detail) MUSTUSE;

/* A content type, as it came. */
enum error rules_content_type(struct slice value, struct slice *type, struct detail *detail) MUSTUSE;

/* A producer: all of id, epoch and seq (data NULL: absent), or none of them. Fills producer, epoch and seq. */
enum error rules_producer(struct slice id, struct slice epoch, struct slice seq, struct wire_append *append,
                          struct detail *detail) MUSTUSE;

/* Fills what the headers of a POST decide: flags, content_type ("" without a body), stream_seq, producer, epoch, seq,
 * condition. */
enum error rules_append(const struct http_head *head, bool has_body, struct wire_append *append,
                        struct detail *detail) MUSTUSE;

#endif
