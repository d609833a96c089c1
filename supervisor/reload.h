/* The configuration, read again while the server runs: all of the new one or none of it, and of that what can change.
 */
#ifndef SUPERVISOR_RELOAD_H
#define SUPERVISOR_RELOAD_H

#include "supervisor/options.h"

/* Takes what can be reloaded over into cfg, and says in the log what has changed, what needs a restart, or why nothing
 * was taken. True: something has changed. */
bool reload_config(const struct options *options, struct config *cfg) MUSTUSE;

/* cfg, just read, becomes what an earlier supervisor had (its text), but for what can be reloaded. */
void reload_inherited(struct config *cfg, const char *text);

#endif
