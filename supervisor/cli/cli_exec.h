/* Commands that speak HTTP to a server: what they need is found here, and the router's program does the rest. */
#ifndef SUPERVISOR_CLI_CLI_EXEC_H
#define SUPERVISOR_CLI_CLI_EXEC_H

#include "common/config.h"

/* Becomes `streamd-router COMMAND URL DATA_DIR ARGUMENT...`. URL: of --url, or of the server on the data folder.
 * DATA_DIR: where a token can be signed, or "". A token that is given goes by way of the environment (STREAMD_TOKEN).
 * Returns the exit status if that cannot be. */
int cli_exec_run(const struct config *cfg, int argc, char **argv);

#endif
