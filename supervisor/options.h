/* The command line's part of the configuration, kept so that SIGHUP can read it again. */
#ifndef SUPERVISOR_OPTIONS_H
#define SUPERVISOR_OPTIONS_H

#include "common/config.h"

struct options {
    char **argv;      /* the whole command line */
    const char *file; /* --config; NULL: built-in defaults */
    char **sets;      /* --set, in order */
    unsigned set_count;
};

/* The configuration of the server that the package installs. */
#define OPTIONS_INSTALLED "/etc/streamd/streamd.ini"

/* The command line names neither a file nor a data folder. */
bool options_name_nothing(const struct options *options) MUSTUSE;

/* For a command that looks for a server or its data. A command line that names nothing means ./data if it holds data,
 * and the installed server otherwise, whose configuration then becomes the file, if this user may read it. */
void options_find(struct options *options);

/* Initialises cfg and fills it: defaults, then the file, then the --set. Returns the number of errors; each is a line
 * on errors. The caller clears cfg in any case. */
unsigned options_read(const struct options *options, struct config *cfg, FILE *errors) MUSTUSE;

#endif
