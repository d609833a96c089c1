#include "router/live/recheck.h"

#include "router/auth/cors.h"
#include "router/conn/connection.h"
#include "router/live/reader.h"
#include "router/router.h"

void recheck_reader(struct request *req)
{
    struct reader *reader = reader_of(req);
    if (!reader || !req->router->auth.projects.registry)
        return;
    if (!auth_renew(&req->router->auth, &req->grant, reader_project(reader)))
        reader_expire(reader);
    else if (!cors_holds(req, reader_project(reader)))
        reader_send_back(reader);
    else
        reader_granted(reader);
}

/* One that ends leaves the list. */
void recheck_readers(struct router *router)
{
    for (struct connection *c = router->connections.first, *next; c; c = next) {
        next = c->next;
        recheck_reader(&c->request);
    }
}
