#include "common/fault.h"

#ifdef STREAMD_FAULTS
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void fault_point(const char *name)
{
    const char *folder = getenv("STREAMD_FAULTS");
    char path[4096];
    if (!folder)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (unlink(path) == 0)
        raise(SIGKILL);
}
#else
typedef int fault_unused; /* ISO C wants something in a file */
#endif
