/* GET /: {"name":"streamd","version":...,"protocol":...,"routes":["/v1/stream/{project}/{stream}",...]}. Patterns come
 * from common/routes.def and contain nothing that JSON escapes. */
#include "common/version.h"
#include "router/conn/answer.h"
#include "router/handlers/handlers.h"
#include "router/http/route.h"

static void root_add_routes(struct buf *body)
{
    const char *path, *before = "";
    for (enum route_kind kind = 0; kind < ROUTE_COUNT; kind++)
        for (size_t i = 0; (path = route_path(kind, i)); i++) {
            if (kind == ROUTE_ROOT) /* the client is here */
                continue;
            buf_add_text(body, before);
            buf_add_text(body, "\"");
            buf_add_text(body, path);
            buf_add_text(body, "\"");
            before = ",";
        }
}

void handle_root(struct request *req, const struct http_head *request, struct slice name, struct slice ignored)
{
    struct buf body = {0};
    (void)request;
    (void)name;
    (void)ignored;
    buf_add_text(&body, "{\"name\":\"streamd\",\"version\":\"" STREAMD_VERSION "\","
                        "\"protocol\":\"https://github.com/durable-streams/durable-streams\",\"routes\":[");
    root_add_routes(&body);
    buf_add_text(&body, "]}");
    answer_json(req, buf_slice(&body));
    buf_clear(&body);
}
