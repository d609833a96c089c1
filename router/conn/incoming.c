/* Lifetime of a `struct incoming`:
 *
 *     request_reader's stack --> dispatch --> handler              (most requests)
 *            |                      |
 *            | incoming_keep()      | incoming_keep()
 *            v  the body arrives    v  it is suspended
 *          heap ------------------ heap --> handler, or the request ends
 *
 * The caller of the handler takes it off the request before the call and frees it after: a handler may end the request,
 * and the connection with it. A request that ends in any other way frees it (request_clear). */
#include "router/conn/incoming.h"

#include <stdlib.h>

#include "common/mem.h"
#include "router/conn/connection.h"
#include "router/conn/request.h"
#include "router/router.h"

void incoming_keep(struct request *req)
{
    const struct incoming *from = req->incoming;
    if (from->kept)
        return;
    struct incoming *in = xmalloc(sizeof *in + from->bytes.len + from->route.name.len);
    *in = *from;
    in->kept = true;
    in->room = NULL;
    memcpy(in->data, from->bytes.data, from->bytes.len);
    in->bytes.data = in->data;
    http_head_move(&in->head, from->bytes, in->data);
    if (from->route.name.len) {
        in->route.name.data = in->data + from->bytes.len;
        memcpy(in->data + from->bytes.len, from->route.name.data, from->route.name.len);
    }
    req->incoming = in;
}

struct incoming *incoming_take(struct request *req)
{
    struct incoming *in = req->incoming;
    req->incoming = NULL;
    return in;
}

void incoming_free(struct request *req, struct incoming *in)
{
    if (!in)
        return;
    req->router->connections.body_bytes -= buf_len(&in->held);
    buf_clear(&in->held);
    if (in->kept)
        free(in);
}

bool incoming_hold_body(struct request *req)
{
    struct incoming *in = req->incoming;
    struct router *r = req->router;
    if (!in->body.len || buf_len(&in->held))
        return true;
    if (r->connections.body_bytes + in->body.len > r->cfg->router_body_memory)
        return false;
    buf_add_slice(&in->held, in->body);
    in->body = buf_slice(&in->held);
    r->connections.body_bytes += in->body.len;
    return true;
}

bool incoming_add(struct request *req, struct slice data)
{
    struct router *r = req->router;
    buf_add_slice(&req->incoming->held, data);
    r->connections.body_bytes += data.len;
    return r->connections.body_bytes <= r->cfg->router_body_memory;
}

void incoming_consume(struct request *req, size_t bytes)
{
    buf_consume(&req->incoming->held, bytes);
    req->router->connections.body_bytes -= bytes;
}
