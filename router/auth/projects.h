/* The projects of the registry; those used last are kept in memory, absent ones too. */
#ifndef ROUTER_AUTH_PROJECTS_H
#define ROUTER_AUTH_PROJECTS_H

#include "common/attr.h"
#include "common/project.h"

struct registry;

struct projects {
    struct registry *registry; /* NULL: auth.mode is not jwt, and there are no projects */
    struct projects_place *places;
};

/* Ends the process if the registry cannot be used. */
void projects_open(struct projects *projects, const char *data_dir);

/* NULL: there is no such project, or the registry cannot be read now. Borrowed until the next turn. */
const struct project *projects_find(struct projects *projects, struct slice name) MUSTUSE;

/* The registry has changed: each project is read again when it is asked for. */
void projects_forget(struct projects *projects);

#endif
