/* Names of streams that come in bodies: {"estuaryId": "room%201"}. */
#ifndef ROUTER_HANDLERS_BODY_NAME_H
#define ROUTER_HANDLERS_BODY_NAME_H

#include <stddef.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/detail.h"
#include "common/slice.h"

struct body_names {
    struct slice project; /* of the request: names in its body have none */
    size_t max_path;      /* limits.max_path */
    enum error error;     /* what a name that is none is refused with */
};

/* Adds "{project}/{id}". Names in a body are read like those in a path: "%" begins an escape. Otherwise a name copied
 * from a listing would mean another stream. what: the field, for the text of an error. */
enum error body_name_add(const struct body_names *of, const char *what, struct slice id, struct buf *names,
                         struct detail *detail) MUSTUSE;

#endif
