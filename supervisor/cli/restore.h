/* `streamd restore`: makes a data folder from a backup. */
#ifndef SUPERVISOR_CLI_RESTORE_H
#define SUPERVISOR_CLI_RESTORE_H

#include "common/config.h"

/* restore --from latest|NUMBER. Returns the exit status. */
int restore_run(const struct config *cfg, int argc, char **argv);

#endif
