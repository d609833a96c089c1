/* Tokens (JWTs) are in no line of the log and in no answer, wherever a client has put them. Pure. */
#ifndef COMMON_REDACT_H
#define COMMON_REDACT_H

#include "common/attr.h"
#include "common/slice.h"

/* A byte that tokens are made of: A-Z a-z 0-9 _ - . */
bool redact_is_word(char byte) MUSTUSE;

bool redact_begins_token(struct slice text) MUSTUSE;

/* Puts "[token]" in place of whatever in a text looks like a token. Returns the new length. */
size_t redact_tokens(char *text, size_t len);

#endif
