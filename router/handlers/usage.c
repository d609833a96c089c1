/* GET of what a project uses, over all shards and routers. No shard is asked: each reports by itself, and the request
 * was suspended until all had (dispatch.c). */
#include <cjson/cJSON.h>

#include "router/conn/answer.h"
#include "router/handlers/handlers.h"
#include "router/handlers/no_project.h"
#include "router/router.h"

void handle_usage(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    const struct project *project = projects_find(&req->router->auth.projects, name);
    const struct project_usage *usage = project_usage_of(&req->router->usages, name);
    (void)head;
    (void)body;
    if (!project || !usage) {
        no_project_answer(req);
        return;
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "streams", (double)usage->streams);
    cJSON_AddNumberToObject(object, "bytes", (double)usage->bytes);
    cJSON_AddNumberToObject(object, "liveReaders", (double)(usage->readers + usage->readers_elsewhere));
    cJSON_AddItemToObject(object, "quotas", project_quotas(&project->quotas));
    char *text = cJSON_PrintUnformatted(object);
    answer_json(req, slice_str(text));
    cJSON_free(text);
    cJSON_Delete(object);
}
