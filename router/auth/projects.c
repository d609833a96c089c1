/* A table of fixed size: what hashes to a place replaces what was there, so a flood of names costs no memory. */
#include "router/auth/projects.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/registry.h"
#include "router/auth/mark.h"

#define PROJECTS_KEPT 256u
#define PROJECTS_WAIT_MS 100u /* for others that write to the registry; all clients of this router wait as long */

struct projects_place {
    char *name; /* NULL: the place is free */
    bool absent;
    struct project project;
};

void projects_open(struct projects *projects, const char *data_dir)
{
    const char *why;
    projects->registry = registry_open(data_dir, &why);
    if (!projects->registry)
        fatal_never_restart("%s/registry.db: %s", data_dir, why);
    registry_wait(projects->registry, PROJECTS_WAIT_MS);
    projects->places = xcalloc(PROJECTS_KEPT, sizeof *projects->places);
}

static void projects_clear(struct projects_place *place)
{
    free(place->name);
    project_clear(&place->project);
    *place = (struct projects_place){0};
}

void projects_forget(struct projects *projects)
{
    for (unsigned i = 0; i < PROJECTS_KEPT; i++)
        projects_clear(&projects->places[i]);
}

const struct project *projects_find(struct projects *projects, struct slice name)
{
    if (!projects->registry || !project_name_valid(name))
        return NULL;
    struct projects_place *place = &projects->places[auth_mark(name) / 2 % PROJECTS_KEPT];
    if (!place->name || !slice_equal(slice_str(place->name), name)) {
        projects_clear(place);
        place->name = xslicedup(name);
        enum registry_result result = registry_get(projects->registry, name, &place->project);
        place->absent = result != REGISTRY_OK;
        if (result == REGISTRY_BUSY || result == REGISTRY_FAILED) { /* the next request asks again */
            projects_clear(place);
            return NULL;
        }
    }
    return place->absent ? NULL : &place->project;
}
