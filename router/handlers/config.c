/* GET and PUT of a project's configuration: one JSON document a project, in the registry.
 *
 *     GET   project (kept by projects.c) --> JSON --> its tag --> If-Match, If-None-Match --> 200, 304 or 412
 *     PUT   JSON --> project --> in one transaction: tag of the old, If-Match, replace --> 200 with the new tag
 *
 * Happy path: an operator reads the document with its ETag, edits it, and puts it back with If-Match.
 *
 * Failure modes: Another has changed it in between: 412, with the tag of what is there now. The project does not exist:
 * 404, or 412 to an If-Match; PUT never creates one. The registry is locked by another process: OVERLOADED, try again.
 * The document is malformed: 400, and nothing changes. The JSON has signing secrets, so buffers are wiped before they
 * are freed. */
#include <cjson/cJSON.h>

#include "common/registry.h"
#include "router/conn/answer.h"
#include "router/handlers/handlers.h"
#include "router/handlers/no_project.h"
#include "router/http/etag.h"
#include "router/router.h"

/* ---- tags and conditions ---- */

struct tag {
    char room[ETAG_MAX];
    size_t len; /* 0: there is no such project */
};

static struct slice config_text_of(const struct tag *tag)
{
    return slice_of(tag->room, tag->len);
}

static void config_print_tagged(const struct project *project, struct buf *json, struct tag *tag)
{
    project_print(project, json);
    tag->len = etag_print_document(tag->room, buf_slice(json));
}

static void config_take_tag(const struct project *project, struct tag *tag)
{
    struct buf json = {0};
    config_print_tagged(project, &json, tag);
    buf_wipe(&json);
}

/* RFC 9110 13.1.1: a project that is not there matches nothing, not even "*". */
static bool config_if_match(const struct http_head *head, const struct tag *tag)
{
    struct slice list = head->headers[HTTP_IF_MATCH_HEADER];
    return !list.data || (tag->len && etag_listed(list, config_text_of(tag), ETAG_STRONG));
}

static void config_refuse_precondition(struct request *req, const struct tag *tag, const char *text)
{
    struct buf *head = answer_error_begin(req, ERR_PRECONDITION_FAILED);
    if (tag->len)
        response_add(head, "ETag", config_text_of(tag));
    answer_error_end(req, ERR_PRECONDITION_FAILED, text);
}

static void config_refuse_if_match(struct request *req, const struct tag *tag)
{
    config_refuse_precondition(req, tag,
                               tag->len ? "the configuration is not the one that If-Match names; nothing was done"
                                        : "there is no such project, so If-Match names none; nothing was done");
}

/* ---- GET ---- */

static void config_answer_config(struct request *req, const struct http_head *request, const struct buf *json,
                                 const struct tag *tag)
{
    struct slice list = request->headers[HTTP_IF_NONE_MATCH_HEADER], body = buf_slice(json);
    bool unchanged = list.data && etag_listed(list, config_text_of(tag), ETAG_WEAK);
    struct buf *head = answer_begin(req, unchanged ? 304 : 200);
    response_add(head, "Cache-Control", SLICE("no-store"));
    response_add(head, "ETag", config_text_of(tag));
    if (unchanged) {
        answer_end_bare(req);
        return;
    }
    response_add(head, "Content-Type", SLICE("application/json"));
    answer_end(req, &body, 1);
}

void handle_config_get(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    const struct project *project = projects_find(&req->router->auth.projects, name);
    struct buf json = {0};
    struct tag tag;
    (void)body;
    if (!project) {
        no_project_answer(req);
        return;
    }
    config_print_tagged(project, &json, &tag);
    if (config_if_match(head, &tag))
        config_answer_config(req, head, &json, &tag);
    else
        config_refuse_if_match(req, &tag);
    buf_wipe(&json);
}

/* ---- PUT ---- */

struct replacement {
    const struct http_head *head;
    struct project project; /* the new one; after the replacement the old one, for the caller to clear */
    struct tag was, is;
};

/* Runs in the registry's transaction, so the tag that is compared belongs to the document that is replaced. A project
 * that was deleted meanwhile stays deleted. If-None-Match: * matches every project that is there, so it refuses all. */
static bool config_replace(void *ctx, struct project *project, bool there)
{
    struct replacement *r = ctx;
    if (there)
        config_take_tag(project, &r->was);
    if (!there || !config_if_match(r->head, &r->was) || r->head->headers[HTTP_IF_NONE_MATCH_HEADER].data)
        return false;
    const struct project was = *project;
    *project = r->project;
    r->project = was;
    config_take_tag(project, &r->is);
    return true;
}

static void config_answer_put(struct request *req, enum registry_result result, const struct replacement *r)
{
    const struct slice body = SLICE("{\"ok\":true}");
    if (result == REGISTRY_REFUSED && !config_if_match(r->head, &r->was)) {
        config_refuse_if_match(req, &r->was);
    } else if (result == REGISTRY_REFUSED && !r->was.len) {
        no_project_answer(req);
    } else if (result == REGISTRY_REFUSED) {
        config_refuse_precondition(req, &r->was, "there is a configuration already; nothing was done");
    } else if (result != REGISTRY_OK) {
        answer_error(req, result == REGISTRY_BUSY ? ERR_OVERLOADED : ERR_INTERNAL);
    } else {
        auth_changed(&req->router->auth); /* what was decided with the old keys is decided again */
        struct buf *head = answer_begin(req, 200);
        response_add(head, "Content-Type", SLICE("application/json"));
        response_add(head, "Cache-Control", SLICE("no-store"));
        response_add(head, "ETag", config_text_of(&r->is));
        answer_end(req, &body, 1);
    }
}

/* Checks everything that needs no transaction: the body, and If-None-Match. The caller clears the project. */
static enum error config_read_put(struct request *req, const struct http_head *head, struct slice body,
                                  struct project *project, struct detail *detail)
{
    struct slice none = head->headers[HTTP_IF_NONE_MATCH_HEADER];
    *project = (struct project){0};
    if (!req->router->auth.projects.registry)
        return no_project(req, detail);
    if (none.data && !slice_equal(none, SLICE("*")))
        return detail_say(detail, ERR_CONDITION_NOT_SUPPORTED,
                          "If-None-Match must be * here (there is no configuration yet), not %s",
                          detail_quote(none).text);
    if (!project_parse(body, true, project, detail))
        return ERR_INVALID_CONFIG;
    if (project->jwks_url && !key_source_allowed(req->router->cfg, project->jwks_url))
        return detail_say(detail, ERR_INVALID_CONFIG, "jwksUrl must be of a host that auth.jwks_hosts names");
    return ERR_NONE;
}

/* Replaces the whole document. The write takes some milliseconds, in which this router serves nobody: changes are rare
 * enough for that. */
void handle_config_put(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    struct replacement replacement = {.head = head};
    struct detail detail = {0};
    enum error error = config_read_put(req, head, body, &replacement.project, &detail);
    if (error != ERR_NONE)
        answer_error_text(req, error, detail.text);
    else
        config_answer_put(req, registry_update(req->router->auth.projects.registry, name, config_replace, &replacement),
                          &replacement);
    project_clear(&replacement.project);
}
