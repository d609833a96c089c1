/* GET /health: 200 as long as this router answers. /metrics shows the state of the other processes. */
#include "router/conn/answer.h"
#include "router/handlers/handlers.h"

void handle_health(struct request *req, const struct http_head *request, struct slice name, struct slice ignored)
{
    const struct slice body = SLICE("ok");
    struct buf *head = answer_begin(req, 200);
    (void)request;
    (void)name;
    (void)ignored;
    response_add(head, "Content-Type", SLICE("text/plain"));
    response_add(head, "Cache-Control", SLICE("no-store"));
    answer_end(req, &body, 1);
}
