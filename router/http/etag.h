/* Entity tags of catch-up answers, tails and documents, If-Match and If-None-Match (RFC 9110 8.8.3, 13.1.1, 13.1.2). */
#ifndef ROUTER_HTTP_ETAG_H
#define ROUTER_HTTP_ETAG_H

#include <stdint.h>

#include "common/attr.h"
#include "common/offset.h"
#include "common/slice.h"

#define ETAG_MAX 80

/* Writes "<life>:<start>:<next>" in quotes, with :c before the closing quote for an answer that says the stream is
 * closed. life is the stream's newest, so a tag survives neither deletion and recreation nor a restore. Returns the
 * length. */
size_t etag_print(char out[ETAG_MAX], uint64_t life, uint64_t start, uint64_t next, bool closed);

/* Writes the tag of a stream's tail: the offset in quotes (durable-streams, pull request 243). Returns the length. */
size_t etag_print_offset(char out[ETAG_MAX], struct offset offset);

/* Where the stream ends that this tag is of: the offset; or, of a catch-up answer, the life and `next`, exactly as they
 * are printed. */
enum etag_kind { ETAG_OF_NOTHING, ETAG_OF_OFFSET, ETAG_OF_READ };
enum etag_kind etag_parse(struct slice tag, struct offset *offset) MUSTUSE;

/* Writes the tag of a document: of what it says, whoever prints it. Returns the length. */
size_t etag_print_document(char out[ETAG_MAX], struct slice document);

/* Does a value of If-None-Match or If-Match name the tag? It is a list of tags, or "*". If-Match compares strongly: a
 * weak tag names none. */
enum etag_compare { ETAG_WEAK, ETAG_STRONG };
bool etag_listed(struct slice list, struct slice etag, enum etag_compare compare) MUSTUSE;

#endif
