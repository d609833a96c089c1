/* GET and PUT of a project's configuration; GET of what it uses. */
#include <cjson/cJSON.h>

#include "router/answer.h"
#include "router/router.h"
#include "router/verbs.h"

void verb_config_get(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    const struct project *project = auth_project(&c->router->auth, name);
    struct buf json = {0};
    (void)head;
    (void)body;
    if (!project) {
        answer_error(c, ERR_PROJECT_NOT_FOUND);
        return;
    }
    project_print(project, &json);
    answer_json(c, buf_slice(&json));
    explicit_bzero(json.data, json.cap);
    buf_clear(&json);
}

static void answer_invalid(struct client *c, const struct project_error *error)
{
    char text[160];
    snprintf(text, sizeof text, "%s must be %s", error->field, error->expected);
    answer_error_text(c, ERR_INVALID_CONFIG, text);
}

/* The whole entry is replaced. A write of the registry takes some milliseconds, which is rare enough for a turn. */
void verb_config_put(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    struct auth *auth = &c->router->auth;
    struct project project;
    struct project_error error;
    (void)head;
    if (!auth->registry) {
        answer_error(c, ERR_PROJECT_NOT_FOUND);
        return;
    }
    if (!project_parse(body, &project, &error)) {
        answer_invalid(c, &error);
        return;
    }
    if (project.jwks_url && !key_source_allowed(c->router->cfg, project.jwks_url)) {
        error = (struct project_error){"jwksUrl", "of a host that auth.jwks_hosts names"};
        project_clear(&project);
        answer_invalid(c, &error);
        return;
    }
    enum registry_result result = registry_put(auth->registry, name, &project);
    project_clear(&project);
    if (result != REGISTRY_OK) {
        answer_error(c, result == REGISTRY_BUSY ? ERR_OVERLOADED : ERR_INTERNAL);
        return;
    }
    auth_changed(auth);
    answer_json(c, SLICE("{\"ok\":true}"));
}

void verb_usage(struct client *c, const struct http_head *head, struct slice name, struct slice body)
{
    const struct project *project = auth_project(&c->router->auth, name);
    const struct tally *usage = tally_of(&c->router->tallies, name);
    (void)head;
    (void)body;
    if (!project || !usage) {
        answer_error(c, ERR_PROJECT_NOT_FOUND);
        return;
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "streams", (double)usage->streams);
    cJSON_AddNumberToObject(object, "bytes", (double)usage->bytes);
    cJSON_AddNumberToObject(object, "liveReaders", (double)(usage->readers + usage->readers_elsewhere));
    cJSON_AddItemToObject(object, "quotas", project_quotas(&project->quotas));
    char *text = cJSON_PrintUnformatted(object);
    answer_json(c, slice_str(text));
    cJSON_free(text);
    cJSON_Delete(object);
}
