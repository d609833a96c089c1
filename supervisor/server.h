/* The running server: from the first lock to the last child's end. */
#ifndef SUPERVISOR_SERVER_H
#define SUPERVISOR_SERVER_H

#include "supervisor/options.h"

/* Serves in the foreground until a signal ends it. Takes cfg over and clears it. Returns the exit status. */
int server_main(const struct options *options, struct config *cfg);

#endif
