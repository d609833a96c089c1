/* The three programs on disk: whether they have been replaced since we were started, and whether what is there now
 * could take our place. */
#ifndef SUPERVISOR_UPGRADE_PROGRAMS_H
#define SUPERVISOR_UPGRADE_PROGRAMS_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "common/attr.h"

#define PROGRAMS 3

enum programs_verdict { PROGRAMS_UNDECIDED, PROGRAMS_GOOD, PROGRAMS_BAD };

struct programs {
    char *folder;
    char **argv; /* how this one was called; borrowed */
    struct stat seen[PROGRAMS];
    pid_t checker; /* 0: no check is under way */
};

void programs_init(struct programs *programs, char **argv);
void programs_clear(struct programs *programs);

/* A program on disk is another file than it was. */
bool programs_replaced(const struct programs *programs) MUSTUSE;

/* Starts a process that finds out whether they can take our place: they run, are of one version, know our data, and
 * accept the configuration. It says on standard error why not. */
void programs_check(struct programs *programs);

/* What the process of programs_check() has found out; a verdict is returned once. */
enum programs_verdict programs_verdict(struct programs *programs) MUSTUSE;

/* Kills the process that checks, if there is one. */
void programs_give_up(struct programs *programs);

/* Becomes FOLDER/streamd, called as this one was. Returns if it cannot. */
void programs_become(const struct programs *programs);

#endif
