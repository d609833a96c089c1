/* From one program to the next, in one process.
 *
 *     handoff_write()                          exec                          handoff_read()
 *     text in a memfd, its number in     ──► descriptors without     ──►  takes the variable out of the environment,
 *     STREAMD_INHERITANCE; FD_CLOEXEC        FD_CLOEXEC stay open         sets FD_CLOEXEC again, reads the text
 *     off on all that it names
 *           │ the exec fails
 *           ▼
 *     handoff_cancel(): FD_CLOEXEC on again, the variable and the memfd gone
 *
 * Happy path: nothing is copied but the text. Locks, sockets and children belong to the process, which stays.
 *
 * Failure modes:
 *   - The text cannot be written: handoff_write() says so, and the old program goes on.
 *   - The text does not read, or has no lock or no listening socket: the new program ends. That is a fault of one of
 * the two versions; the children notice the end and leave, and the service manager starts the server anew.
 *   - A child died between writing and reading: the new program is its parent too, and reaps it. */
#include "supervisor/upgrade/handoff.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

#define VARIABLE "STREAMD_INHERITANCE"
#define FIRST_LINE "streamd inheritance 1"

/* Whether a descriptor outlives an exec. */
static void handoff_set_survives(int fd, bool survives)
{
    if (fcntl(fd, F_SETFD, survives ? 0 : FD_CLOEXEC) != 0)
        fatal("cannot set the flags of a descriptor");
}

static void handoff_set_all(const struct children *children, bool survive)
{
    handoff_set_survives(children->lock, survive);
    handoff_set_survives(children->stats.fd, survive);
    for (unsigned i = 0; i < children->listeners->count; i++)
        handoff_set_survives(children->listeners->fd[i], survive);
    if (children->listeners->has_metrics)
        handoff_set_survives(children->listeners->metrics, survive);
    for (unsigned i = 0; i < children->count; i++)
        if (children->list[i].pid)
            handoff_set_survives(children->list[i].control.fd, survive);
}

/* ---- leaving ---- */

static void handoff_write_text(FILE *out, const struct children *children)
{
    fprintf(out, FIRST_LINE "\nlock %d\nmetrics %d\n", children->lock, children->stats.fd);
    for (unsigned i = 0; i < children->listeners->count; i++)
        fprintf(out, "listener %d\n", children->listeners->fd[i]);
    if (children->listeners->has_metrics)
        fprintf(out, "metrics-listener %d\n", children->listeners->metrics);
    for (unsigned i = 0; i < children->count; i++) {
        const struct process *process = &children->list[i];
        if (process->pid)
            fprintf(out, "child %s %u pid %d control %d wire %u deaths %u started %llu\n",
                    process->kind == ROLE_ROUTER ? "router" : "shard", process->slot, (int)process->pid,
                    process->control.fd, process->wire, process->life.deaths,
                    (unsigned long long)process->life.started);
    }
    fprintf(out, "configuration\n%s", children->config_text);
}

bool handoff_write(const struct children *children)
{
    char number[16];
    int fd = memfd_create("streamd-inheritance", 0);
    FILE *out = fd >= 0 ? fdopen(dup(fd), "w") : NULL;
    if (!out)
        return false;
    handoff_write_text(out, children);
    bool written = !ferror(out) && fflush(out) == 0;
    fclose(out);
    snprintf(number, sizeof number, "%d", fd);
    if (!written || lseek(fd, 0, SEEK_SET) != 0 || setenv(VARIABLE, number, 1) != 0)
        return false;
    handoff_set_all(children, true);
    return true;
}

void handoff_cancel(const struct children *children)
{
    const char *number = getenv(VARIABLE);
    if (number)
        close(atoi(number));
    unsetenv(VARIABLE);
    handoff_set_all(children, false);
}

/* ---- taking ---- */

static void handoff_take_child(struct handoff *in, const char *line)
{
    char role[16];
    int pid;
    struct children_adopted child;
    if (sscanf(line, "child %15s %u pid %d control %d wire %u deaths %u started %" SCNu64, role, &child.slot, &pid,
               &child.control, &child.wire, &child.deaths, &child.started) != 7)
        fatalx("the predecessor's state cannot be read: %s", line);
    child.kind = strcmp(role, "router") == 0 ? ROLE_ROUTER : ROLE_SHARD;
    child.pid = pid;
    handoff_set_survives(child.control, false);
    in->children = xrealloc(in->children, (in->child_count + 1) * sizeof child);
    in->children[in->child_count++] = child;
}

/* A line that this version does not know is passed over: it is of a later one. */
static void handoff_take_line(struct handoff *in, const char *line)
{
    int fd;
    if (sscanf(line, "lock %d", &fd) == 1) {
        in->lock = fd;
        handoff_set_survives(fd, false);
    } else if (sscanf(line, "metrics %d", &fd) == 1) {
        in->metrics = fd;
        handoff_set_survives(fd, false);
    } else if (sscanf(line, "metrics-listener %d", &fd) == 1) {
        in->metrics_listener = fd;
        handoff_set_survives(fd, false);
    } else if (sscanf(line, "listener %d", &fd) == 1 && in->listener_count < LISTENERS_MAX) {
        in->listeners[in->listener_count++] = fd;
        handoff_set_survives(fd, false);
    } else if (strncmp(line, "child ", 6) == 0) {
        handoff_take_child(in, line);
    }
}

static char *handoff_take_rest(FILE *text)
{
    char *rest = NULL;
    size_t len = 0, size = 0;
    FILE *out = open_memstream(&rest, &size);
    char piece[4096];
    if (!out)
        fatal("cannot take over the predecessor's state");
    while ((len = fread(piece, 1, sizeof piece, text)) > 0)
        fwrite(piece, 1, len, out);
    fclose(out);
    return rest;
}

bool handoff_read(struct handoff *in)
{
    char line[256];
    const char *number = getenv(VARIABLE);
    *in = (struct handoff){.lock = -1, .metrics = -1, .metrics_listener = -1};
    if (!number)
        return false;
    FILE *text = fdopen(atoi(number), "r");
    unsetenv(VARIABLE);
    if (!text || !fgets(line, sizeof line, text) || strcmp(line, FIRST_LINE "\n") != 0)
        fatalx("the predecessor's state cannot be read");
    while (fgets(line, sizeof line, text) && strcmp(line, "configuration\n") != 0)
        handoff_take_line(in, line);
    in->config_text = handoff_take_rest(text);
    fclose(text);
    if (in->lock < 0 || !in->listener_count)
        fatalx("the predecessor's state is incomplete");
    return true;
}

void handoff_clear(struct handoff *in)
{
    free(in->children);
    free(in->config_text);
}
