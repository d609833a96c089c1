/* The commands about projects. They change DATA_DIR/registry.db, whether the server runs or not; a running one sees it
 * at once. */
#ifndef SUPERVISOR_CLI_PROJECTS_H
#define SUPERVISOR_CLI_PROJECTS_H

#include "common/config.h"

/* Each gets its own name and arguments; returns the exit status and has said what was wrong. */
typedef int project_command(const struct config *cfg, int argc, char **argv);

project_command projects_create;        /* NAME: prints its secret */
project_command projects_delete;        /* NAME */
project_command projects_list;          /* a line a project */
project_command projects_add_key;       /* NAME: prints the new secret, which signs from now on */
project_command projects_remove_key;    /* NAME SECRET, or how it begins */
project_command projects_add_origin;    /* NAME ORIGIN */
project_command projects_remove_origin; /* NAME ORIGIN */
project_command projects_token;         /* --project NAME --scope SCOPE [--stream ID] --ttl TIME: prints the token */

#endif
