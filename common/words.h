/* Lists of words in one text, parted by spaces, as the configuration has them. */
#ifndef COMMON_WORDS_H
#define COMMON_WORDS_H

#include "common/attr.h"
#include "common/slice.h"

/* Whether `word` is one of them, byte by byte. */
bool words_have(const char *words, struct slice word) MUSTUSE;

#endif
