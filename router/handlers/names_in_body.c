#include "router/handlers/batch_read.h"
#include "router/handlers/estuary.h"
#include "router/handlers/handlers.h"
#include "router/http/route.h"

void handle_names_in_body(const struct route *route, struct slice body, const struct config *cfg, struct buf *names)
{
    if (route->kind == ROUTE_SUBSCRIPTION || route->kind == ROUTE_SUBSCRIPTIONS)
        estuary_names(route->name, body, cfg, names);
    else if (route->kind == ROUTE_BATCH)
        batch_names(route->name, body, cfg, names);
}
