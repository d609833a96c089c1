/* Media types as Content-Type carries them (RFC 9110 8.3.1). A stream keeps its type as it was given; two types are the
 * same if type and subtype are, whatever their case and their parameters. Pure. */
#ifndef COMMON_MEDIA_TYPE_H
#define COMMON_MEDIA_TYPE_H

#include "common/attr.h"
#include "common/slice.h"

#define MEDIA_TYPE_MAX 256 /* bytes, with parameters */

/* It is type/subtype, both of token characters, perhaps with a semicolon and printing ASCII behind it. What stands
 * there is not looked into: many parameters in use, such as boundaries with "=", are not those of the RFC. */
bool media_type_valid(struct slice type) MUSTUSE;

bool media_type_same(struct slice a, struct slice b) MUSTUSE;

/* application/json, whose streams hold messages. */
bool media_type_is_json(struct slice type) MUSTUSE;

/* text/ and anything. */
bool media_type_is_text(struct slice type) MUSTUSE;

#endif
