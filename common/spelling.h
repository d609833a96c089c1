/* Finds the known name that an unknown one was probably meant to be. */
#ifndef COMMON_SPELLING_H
#define COMMON_SPELLING_H

#include "common/attr.h"
#include "common/slice.h"

/* The word becomes the name, in any case of letters, when a third of its letters and at most two are added, removed or
 * replaced. */
bool spelling_near(struct slice word, struct slice name) MUSTUSE;

#endif
