/* Refuses a request about a project that does not exist. Only auth.mode = jwt has a registry of projects; with any
 * other mode the error names the mode, because no project name would help. */
#include "router/handlers/no_project.h"

#include "router/conn/answer.h"
#include "router/router.h"

enum error no_project(const struct request *req, struct detail *detail)
{
    if (req->router->auth.projects.registry)
        return ERR_PROJECT_NOT_FOUND;
    return detail_say(
        detail, ERR_PROJECT_NOT_FOUND,
        "projects have a configuration and quotas with auth.mode = jwt only; this server has auth.mode = %s",
        choice_auth_mode[req->router->cfg->auth_mode]);
}

void no_project_answer(struct request *req)
{
    struct detail detail = {0};
    enum error error = no_project(req, &detail);
    answer_error_text(req, error, detail.text);
}
