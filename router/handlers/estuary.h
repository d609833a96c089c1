/* What the body of a subscription names. */
#ifndef ROUTER_HANDLERS_ESTUARY_H
#define ROUTER_HANDLERS_ESTUARY_H

#include "common/buf.h"
#include "common/slice.h"

struct config;

/* Adds them (router/auth/named.h); nothing if the body is malformed. name: of the route. */
void estuary_names(struct slice name, struct slice body, const struct config *cfg, struct buf *names);

#endif
