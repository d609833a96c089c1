/* systemd passes descriptors from 3 on, and names for them (sd_listen_fds(3)):
 *
 *     LISTEN_PID=812  LISTEN_FDS=3  LISTEN_FDNAMES=streamd.socket:streamd-listen:streamd-listen
 *                                                  descriptor 3   4              5
 *
 * passed_open() runs before anything else is opened, because only then do the numbers mean nothing else. Callers
 * then claim descriptors, by name or all that are left; passed_close() closes the rest. A LISTEN_PID of another
 * process means that the variables are not for this one. Numbers or names that do not fit stop the start. */
#include "supervisor/sockets/passed.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

static bool passed_read_number(const char *text, long max, long *number)
{
    char *end;
    size_t digits = strspn(text, "0123456789");
    *number = strtol(text, &end, 10);
    return digits > 0 && text[digits] == '\0' && *number <= max;
}

/* There is a name for each descriptor, with colons between them. */
static bool passed_split_names(struct passed *passed)
{
    char *at = passed->names;
    for (unsigned i = 0; i < passed->count; i++) {
        char *colon = strchr(at, ':');
        if (!colon != (i + 1 == passed->count))
            return false;
        passed->name[i] = at;
        if (colon)
            *colon++ = '\0';
        at = colon;
    }
    return true;
}

const char *passed_read(struct passed *passed, long pid, const char *for_pid, const char *fds, const char *names)
{
    long number, count;
    *passed = (struct passed){0};
    if (!for_pid || !fds)
        return NULL;
    if (!passed_read_number(for_pid, 1L << 30, &number))
        return "LISTEN_PID is not a number";
    if (number != pid)
        return NULL;
    if (!passed_read_number(fds, PASSED_MAX, &count))
        return "LISTEN_FDS is not a number up to 256";
    passed->count = (unsigned)count;
    for (unsigned i = 0; i < passed->count; i++)
        passed->name[i] = "unknown";
    if (!names || !count)
        return NULL;
    passed->names = xstrdup(names);
    return passed_split_names(passed) ? NULL : "LISTEN_FDNAMES and LISTEN_FDS differ in their number";
}

void passed_open(struct passed *passed)
{
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"};
    const char *wrong =
        passed_read(passed, getpid(), getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getenv("LISTEN_FDNAMES"));
    if (wrong)
        fatal_never_restart("%s", wrong);
    for (unsigned i = 0; i < passed->count; i++)
        if (fcntl(PASSED_FIRST + (int)i, F_SETFD, FD_CLOEXEC) != 0)
            fatal_never_restart("LISTEN_FDS is %u, but descriptor %u is not open", passed->count, PASSED_FIRST + i);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
}

unsigned passed_claim(struct passed *passed, const char *name, int *fds, unsigned room)
{
    unsigned claimed = 0;
    for (unsigned i = 0; i < passed->count && claimed < room; i++) {
        if (!passed->name[i] || (name && strcmp(passed->name[i], name) != 0))
            continue;
        passed->name[i] = NULL;
        fds[claimed++] = PASSED_FIRST + (int)i;
    }
    return claimed;
}

void passed_close(struct passed *passed)
{
    for (unsigned i = 0; i < passed->count; i++)
        if (passed->name[i])
            close(PASSED_FIRST + (int)i);
    free(passed->names);
    *passed = (struct passed){0};
}
