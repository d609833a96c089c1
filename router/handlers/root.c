/* GET / and GET /health: which server this is, where its routes are, and that it answers. */
#include "common/version.h"
#include "router/conn/answer.h"
#include "router/handlers/handlers.h"

static const char root[] = "{\"name\":\"streamd\",\"version\":\"" STREAMD_VERSION "\","
                           "\"protocol\":\"https://github.com/durable-streams/durable-streams\","
                           "\"routes\":["
                           "\"/v1/stream/{project}/{stream}\","
                           "\"/v1/stream/{stream}\","
                           "\"/v1/streams\","
                           "\"/v1/streams/{project}\","
                           "\"/v1/streams/{project}/{stream}\","
                           "\"/v1/estuary/{project}/{estuary}\","
                           "\"/v1/estuary/{project}/{estuary}/touch\","
                           "\"/v1/estuary/subscribe/{project}\","
                           "\"/v1/estuary/subscribe/{project}/{stream}\","
                           "\"/v1/config/{project}\","
                           "\"/v1/usage/{project}\","
                           "\"/metrics\","
                           "\"/health\"]}";

void handle_root(struct request *req, const struct http_head *request, struct slice name, struct slice ignored)
{
    (void)request;
    (void)name;
    (void)ignored;
    answer_json(req, SLICE(root));
}

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
