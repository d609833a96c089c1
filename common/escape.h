/* Text made safe to stand between quotes, in JSON and in logfmt, on one line. Pure. */
#ifndef COMMON_ESCAPE_H
#define COMMON_ESCAPE_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/slice.h"

/* What one byte of text becomes at most. */
#define ESCAPE_GROWTH 6

/* Writes text into out, without quotes around it and without cutting a character; returns how many bytes that are. What
 * does not fit into room is left out. Quote and backslash get a backslash, control characters (C1 and DEL too, for
 * terminals) and the line separators U+2028 and U+2029 become \n, \r, \t or \u00xx, and what is not UTF-8 becomes
 * U+FFFD. All else stays as it is. */
size_t escape_json(char *out, size_t room, struct slice text) MUSTUSE;

/* As escape_json(), for people: quotes and backslashes stay. */
size_t escape_plain(char *out, size_t room, struct slice text) MUSTUSE;

/* The text is the same between quotes and without them: it is not empty and has nothing in it but printing ASCII, no
 * quote, no backslash and no '='. */
bool escape_bare(struct slice text) MUSTUSE;

#endif
