/* SQLite's checks come first, beside a server that may write; a registry that passes them is opened as the server does,
 * and every project in it is read. */
#include "shard/tools/verify_registry.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/registry.h"
#include "shard/store/store_look.h"
#include "shard/store/store_look_checks.h"
#include "shard/tools/verify_context.h"
#include "shard/tools/verify_report.h"

#define PATH_ROOM 4096

struct projects {
    struct verify *v;
    struct registry *registry;
    uint64_t count;
};

static void verify_registry_project(void *ctx, struct slice name)
{
    struct projects *projects = ctx;
    struct project project;
    if (registry_get(projects->registry, name, &project) == REGISTRY_FAILED)
        verify_problem(projects->v, "project %.*s cannot be read", (int)name.len, name.data);
    project_clear(&project);
    projects->count++;
}

void verify_registry(struct verify *v)
{
    char path[PATH_ROOM];
    const char *why;
    struct store_look *look;
    struct projects projects = {.v = v};
    snprintf(path, sizeof path, "%s/registry.db", v->cfg.server_data_dir);
    snprintf(v->database, sizeof v->database, "registry.db");
    if (access(path, F_OK) != 0)
        return;
    v->databases++;
    uint64_t before = v->problems;
    if (!store_look_open(&look, path) || !store_look_integrity(look, v->quick, verify_problem_text, v))
        verify_problem(v, "it cannot be read: %s", store_look_error(look));
    store_look_close(look);
    if (v->problems == before) {
        projects.registry = registry_open(v->cfg.server_data_dir, &why);
        if (!projects.registry)
            verify_problem(v, "%s", why);
        else if (registry_names(projects.registry, verify_registry_project, &projects) != REGISTRY_OK)
            verify_problem(v, "its projects cannot be read");
        if (projects.registry)
            registry_close(projects.registry);
    }
    printf("registry.db: %" PRIu64 " projects\n", projects.count);
}
