/* JSON text to stored messages, in one strict pass (RFC 8259) without a tree. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/detail.h"
#include "common/slice.h"

/* Arrays and objects may nest this deep; deeper text is refused as invalid. */
#define JSON_DEPTH_MAX 512

/* Validates text (one JSON value, valid UTF-8, surrounded by optional whitespace) and adds its messages to out, each as
 * its own text without surrounding whitespace, followed by a comma. An array at the top is taken apart one level
 * (PROTOCOL.md 9.1.2): each element is a message. Adds one mark a message to marks, the last with last_of_append.
 * *count is the number of messages, 0 for []. False: text is not valid JSON, *detail says where (NULL: nobody wants to
 * know), and out and marks are as before. */
bool json_messages(struct slice text, struct buf *out, struct buf *boundaries, uint64_t *count,
                   struct detail *detail) MUSTUSE;

/* The messages of lines (NDJSON), of which each is a text as above; a line of white space alone has none. All messages
 * are one append. */
struct json_lines {
    uint64_t lines; /* the caller sets it to the lines before this text; good lines are added, also empty ones */
    uint64_t count; /* messages */
};

/* Takes lines off the front of text, up to its end or the first that is wrong: ERR_INVALID_JSON, or
 * ERR_EMPTY_JSON_ARRAY for a line with []; *detail says which line. What the lines before it have is in out and
 * boundaries all the same. */
enum error json_lines(struct slice text, struct buf *out, struct buf *boundaries, struct json_lines *found,
                      struct detail *detail);

/* The same check of a text, of any one value. */
bool json_valid(struct slice text, struct detail *detail) MUSTUSE;

/* Takes an object ('{') or array ('[') of a valid text apart, value by value, each as it is written. */
struct json_walk {
    const uint8_t *at, *end;
    bool object;
};

/* False: the value is none of this kind. */
bool json_open(struct json_walk *walk, struct slice value, char bracket) MUSTUSE;

/* The next value, and in an object its key, as it is written between the quotes. False: there is none. */
bool json_next(struct json_walk *walk, struct slice *key, struct slice *value) MUSTUSE;

/* Adds the text that a string of a valid text spells, in UTF-8; it may have a NUL. False: the value is no string, or
 * half of a surrogate pair stands alone in it (RFC 8259 8.2); some of it may have been added then. (json_string.c) It
 * is not called json_string(): libjwt's JSON library has a function of that name, which ours would replace in a program
 * that links both. */
bool json_unquote(struct slice value, struct buf *out) MUSTUSE;

#endif
