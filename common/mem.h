/* Allocation that cannot fail: out of memory ends the process, which is then restarted. */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

#include "common/slice.h"

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *text);

/* A NUL-terminated copy of s; the caller frees it. */
char *xslicedup(struct slice s);

#endif
