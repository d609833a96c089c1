/* From fork to exec the child is a copy of the supervisor with its signal handlers and all its descriptors. Both must
 * be gone before the program runs: the handlers write into the supervisor's own pipe, and an open listening socket of
 * another router would take connections that nobody accepts. */
#include "supervisor/children/process.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/wire.h"

#define PATH_ROOM 4096

void process_init(struct process *process, enum role_kind kind, unsigned slot, const char *argument)
{
    unsigned number = role_number(kind, slot);
    *process = (struct process){.kind = kind, .slot = slot, .number = number, .argument = argument};
    channel_init(&process->control, -1);
    const char *role = kind == ROLE_ROUTER ? "router" : "shard";
    if (argument)
        snprintf(process->name, sizeof process->name, "%s %s", role, argument);
    else
        snprintf(process->name, sizeof process->name, "%s/%u", role, number);
}

char *process_folder(void)
{
    char path[PATH_ROOM];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path);
    if (len <= 0 || (size_t)len == sizeof path)
        fatal("cannot read /proc/self/exe");
    while (len > 1 && path[len - 1] != '/')
        len--;
    return xslicedup(slice_of(path, (size_t)len - 1));
}

void process_become(const char *program, char **argv)
{
    char path[PATH_ROOM], *folder = process_folder();
    snprintf(path, sizeof path, "%s/%s", folder, program);
    argv[0] = path;
    execv(path, argv);
    log_warn_errno("cannot run %s", path);
    free(folder);
}

/* Between fork and exec the child still has the supervisor's handlers, which write into the supervisor's own pipe; all
 * signals are blocked until they are gone. */
static void process_child_signals(const sigset_t *before)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};
    signal(SIGCHLD, SIG_DFL);
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN); /* stays through exec, so a ^C cannot end it before role_run() */
    sigprocmask(SIG_SETMASK, before, NULL);
}

/* Standard input is empty, standard output is the supervisor's alone, and above the three fixed ones nothing is open.
 */
static bool process_child_fds(int control, const struct process_fds *fds)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    /* First out of the way of the fixed numbers. */
    int high_control = fcntl(control, F_DUPFD_CLOEXEC, ROLE_METRICS_FD + 1);
    int high_lock = fcntl(fds->lock, F_DUPFD_CLOEXEC, ROLE_METRICS_FD + 1);
    int high_metrics = fcntl(fds->metrics, F_DUPFD_CLOEXEC, ROLE_METRICS_FD + 1);
    return dup2(null, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 &&
           dup2(high_control, ROLE_CONTROL_FD) >= 0 && dup2(high_lock, ROLE_LOCK_FD) >= 0 &&
           dup2(high_metrics, ROLE_METRICS_FD) >= 0 && close_range(ROLE_METRICS_FD + 1, ~0u, 0) == 0;
}

NORETURN static void process_child_exec(const struct process *process, const char *folder)
{
    char path[PATH_ROOM], argument[16], more[32];
    snprintf(path, sizeof path, "%s/streamd-%s", folder, process->kind == ROLE_ROUTER ? "router" : "shard");
    snprintf(argument, sizeof argument, "%s", process->argument ? process->argument : "");
    snprintf(more, sizeof more, "%s", process->more ? process->more : "");
    char *argv[] = {path, process->argument ? argument : NULL, process->more ? more : NULL, NULL};
    execv(path, argv);
    log_warn_errno("%s: cannot run %s", process->name, path);
    _exit(EXIT_NEVER_RESTART);
}

NORETURN static void process_child_main(const struct process *process, const char *folder, int control,
                                        const struct process_fds *fds, const sigset_t *before)
{
    /* EOF on the control channel tells a child that the supervisor is gone; this also reaches one that hangs. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    process_child_signals(before);
    if (!process_child_fds(control, fds)) {
        log_warn_errno("%s: cannot set up its descriptors", process->name);
        _exit(1);
    }
    process_child_exec(process, folder);
}

void process_spawn(struct process *process, const char *folder, const struct process_fds *fds)
{
    int pair[2];
    sigset_t all, before;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        fatal("cannot make the control channel of %s", process->name);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    process->pid = fork();
    if (process->pid == 0)
        process_child_main(process, folder, pair[1], fds, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    process->old = false;
    process->wire = WIRE_VERSION;
    close(pair[1]);
    if (process->pid < 0)
        fatal("cannot fork %s", process->name);
    channel_init(&process->control, pair[0]);
}

void process_clear(struct process *process)
{
    if (process->readable)
        event_free(process->readable);
    process->readable = NULL;
    channel_close(&process->control);
    process->pid = 0;
}

void process_describe_death(int wait_status, char *out, size_t size)
{
    if (WIFSIGNALED(wait_status))
        snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    else
        snprintf(out, size, "exited with status %d", WEXITSTATUS(wait_status));
}
