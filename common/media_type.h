/* Media types as in Content-Type (RFC 9110 8.3.1). A stream keeps its type as it was given. Two types are the same if
 * their type and subtype are equal, ignoring case and parameters. Pure. */
#ifndef COMMON_MEDIA_TYPE_H
#define COMMON_MEDIA_TYPE_H

#include "common/attr.h"
#include "common/slice.h"

#define MEDIA_TYPE_MAX 256 /* bytes, with parameters */

/* True for "type/subtype", both of token characters (RFC 9110 5.6.2), optionally followed by a semicolon and printable
 * ASCII. Parameters are not parsed: many in use, such as boundaries with "=", do not follow the RFC. */
bool media_type_valid(struct slice type) MUSTUSE;

bool media_type_same(struct slice a, struct slice b) MUSTUSE;

/* Types whose new streams hold messages: application/json, and types with the suffix "+json" (RFC 6839 3.1). A stream
 * of such a type that was created before the suffix counted holds bytes: ask stream_row_is_json() or WIRE_STREAM_JSON
 * of a stream. */
bool media_type_is_json(struct slice type) MUSTUSE;

/* application/json itself, whose streams have always held messages. */
bool media_type_is_application_json(struct slice type) MUSTUSE;

/* text/ and anything. */
bool media_type_is_text(struct slice type) MUSTUSE;

#endif
