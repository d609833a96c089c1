/* Lists of words in one text, separated by spaces, as the configuration has them. */
#ifndef COMMON_WORDS_H
#define COMMON_WORDS_H

#include "common/attr.h"
#include "common/slice.h"

/* Takes the first word off the list; false: there is none. */
bool words_next(const char **words, struct slice *word) MUSTUSE;

/* Whether `word` is one of them, byte by byte. */
bool words_have(const char *words, struct slice word) MUSTUSE;

#endif
