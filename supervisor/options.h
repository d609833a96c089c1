/* What the command line says about the configuration, kept so that SIGHUP can read it again. */
#ifndef SUPERVISOR_OPTIONS_H
#define SUPERVISOR_OPTIONS_H

#include "common/config.h"

struct options {
    char **argv;      /* the whole command line */
    const char *file; /* --config; NULL: built-in defaults */
    char **sets;      /* --set, in order */
    unsigned set_count;
};

/* Initialises cfg and fills it: defaults, then the file, then the --set. Returns the number of errors; each is a line
 * on errors. The caller clears cfg in any case. */
unsigned options_read(const struct options *options, struct config *cfg, FILE *errors) MUSTUSE;

#endif
