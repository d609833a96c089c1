/* Small JSON documents: bodies of requests that configure, key sets. Streams' messages are common/json.h's. */
#ifndef COMMON_DOCUMENT_H
#define COMMON_DOCUMENT_H

#include <cjson/cJSON.h>

#include "common/attr.h"
#include "common/slice.h"

/* The document, or NULL: it is no JSON or no UTF-8, something is behind it, or one of its texts has a NUL. The caller
 * deletes it. */
cJSON *document_parse(struct slice json) MUSTUSE;

/* The name of a member that is none of these, or that comes a second time; NULL: there is none. */
const char *document_unknown(const cJSON *object, const char *const *names, size_t count);
const char *document_twice(const cJSON *object);

/* An object's member that is a text; NULL: it has none such. Borrowed from the document. */
const char *document_text(const cJSON *object, const char *name);

#endif
