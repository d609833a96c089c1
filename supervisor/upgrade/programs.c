/* The check runs in a process of its own, which runs each program to its end: a program that hangs is ended by its
 * alarm, and the supervisor never waits. Only a program that can run here, says the right versions and accepts the
 * configuration gets to replace one that works. */
#include "supervisor/upgrade/programs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/role.h"
#include "common/version.h"
#include "supervisor/children/process.h"

#define PATH_ROOM 4096
#define CHECK_SECONDS 10 /* one program may take so long to answer */

static const char *const programs_names[PROGRAMS] = {"streamd", "streamd-router", "streamd-shard"};

static void programs_path_of(const struct programs *programs, size_t i, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s", programs->folder, programs_names[i]);
}

static void programs_look(const struct programs *programs, size_t i, struct stat *found)
{
    char path[PATH_ROOM];
    programs_path_of(programs, i, path);
    if (stat(path, found) != 0)
        *found = (struct stat){0};
}

void programs_init(struct programs *programs, char **argv)
{
    *programs = (struct programs){.folder = process_folder(), .argv = argv};
    for (size_t i = 0; i < PROGRAMS; i++)
        programs_look(programs, i, &programs->seen[i]);
}

void programs_clear(struct programs *programs)
{
    free(programs->folder);
}

bool programs_replaced(const struct programs *programs)
{
    for (size_t i = 0; i < PROGRAMS; i++) {
        const struct stat *seen = &programs->seen[i];
        struct stat now;
        programs_look(programs, i, &now);
        if (now.st_ino && (now.st_ino != seen->st_ino || now.st_dev != seen->st_dev || now.st_size != seen->st_size ||
                           now.st_mtim.tv_sec != seen->st_mtim.tv_sec || now.st_mtim.tv_nsec != seen->st_mtim.tv_nsec))
            return true;
    }
    return false;
}

/* ---- in the process that checks ---- */

NORETURN static void programs_run(char **argv, int out)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    alarm(CHECK_SECONDS);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    execv(argv[0], argv);
    log_warn_errno("cannot run %s", argv[0]);
    _exit(1);
}

/* Runs a program to its end. Up to size - 1 bytes of what it prints are kept; the rest is read and dropped. */
static bool programs_ask(char **argv, char *said, size_t size)
{
    char rest[4096];
    int pair[2], status = 1;
    size_t len = 0;
    ssize_t n;
    if (pipe2(pair, O_CLOEXEC) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0)
        programs_run(argv, pair[1]);
    close(pair[1]);
    while ((n = read(pair[0], rest, sizeof rest)) > 0) {
        size_t kept = (size_t)n < size - 1 - len ? (size_t)n : size - 1 - len;
        memcpy(said + len, rest, kept);
        len += kept;
    }
    said[len] = '\0';
    close(pair[0]);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool programs_ask_version(const struct programs *programs, size_t i, struct role_version *version)
{
    char path[PATH_ROOM], word[] = "version", said[128];
    programs_path_of(programs, i, path);
    char *argv[] = {path, word, NULL};
    if (programs_ask(argv, said, sizeof said) && role_version_parse(said, version))
        return true;
    log_error("%s does not say its version", path);
    return false;
}

static bool programs_same_version(const struct programs *programs)
{
    char path[PATH_ROOM], word[] = "version", said[128], wanted[64];
    struct role_version router, shard;
    programs_path_of(programs, 0, path);
    char *argv[] = {path, word, NULL};
    if (!programs_ask_version(programs, 1, &router) || !programs_ask_version(programs, 2, &shard))
        return false;
    snprintf(wanted, sizeof wanted, "streamd %s\n", shard.version);
    if (!programs_ask(argv, said, sizeof said) || strcmp(said, wanted) != 0 ||
        strcmp(router.version, shard.version) != 0 || router.wire != shard.wire) {
        log_error("the programs in %s are not of one version", programs->folder);
        return false;
    }
    if (shard.data >= STREAMD_DATA_VERSION)
        return true;
    log_error("%s/%s knows data of version %u, but the data has version %d: an older streamd cannot take over",
              programs->folder, programs_names[2], shard.data, STREAMD_DATA_VERSION);
    return false;
}

/* As `streamd check` does, which says itself what is wrong. */
static bool programs_accepts_configuration(const struct programs *programs)
{
    char path[PATH_ROOM], word[] = "check", said[2];
    size_t count = 0;
    while (programs->argv[count])
        count++;
    char **argv = xcalloc(count + 2, sizeof *argv);
    memcpy(argv, programs->argv, count * sizeof *argv);
    programs_path_of(programs, 0, path);
    argv[0] = path;
    argv[count] = word;
    return programs_ask(argv, said, sizeof said);
}

/* libevent's handlers would write into the supervisor's own pipe: all signals are blocked until they are gone. */
NORETURN static void programs_check_all(const struct programs *programs, const sigset_t *before)
{
    static const int usual[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR2, SIGCHLD};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        signal(usual[i], SIG_DFL);
    sigprocmask(SIG_SETMASK, before, NULL);
    _exit(programs_same_version(programs) && programs_accepts_configuration(programs) ? 0 : 1);
}

/* ---- in the supervisor ---- */

void programs_check(struct programs *programs)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    programs->checker = fork();
    if (programs->checker == 0)
        programs_check_all(programs, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (programs->checker < 0)
        fatal("cannot fork");
}

enum programs_verdict programs_verdict(struct programs *programs)
{
    int status;
    pid_t pid = programs->checker;
    if (!pid || waitpid(pid, &status, WNOHANG) != pid)
        return PROGRAMS_UNDECIDED;
    programs->checker = 0;
    return status == 0 ? PROGRAMS_GOOD : PROGRAMS_BAD;
}

void programs_give_up(struct programs *programs)
{
    if (!programs->checker)
        return;
    kill(programs->checker, SIGKILL);
    waitpid(programs->checker, NULL, 0);
    programs->checker = 0;
}

void programs_become(const struct programs *programs)
{
    char path[PATH_ROOM];
    programs_path_of(programs, 0, path);
    execv(path, programs->argv);
    log_warn_errno("cannot run %s", path);
}
