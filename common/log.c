#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The only file-wide state of the program. */
static char prefix[32] = "streamd";
static enum log_level threshold = LOG_LEVEL_INFO;

static const char *const names[] = {"error", "warn", "info", "debug"};

void log_init(const char *role, int index, enum log_level level)
{
    if (index < 0)
        snprintf(prefix, sizeof prefix, "%s", role);
    else
        snprintf(prefix, sizeof prefix, "%s/%d", role, index);
    threshold = level;
}

void log_set_level(enum log_level level)
{
    threshold = level;
}

enum log_level log_level_of(const char *word)
{
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], word) == 0)
            return (enum log_level)i;
    return LOG_LEVEL_INFO;
}

/* One write a line, so that lines of several processes do not mix. */
static void emit(enum log_level level, const char *format, va_list ap, int error)
{
    char line[2048];
    struct timespec now;
    struct tm tm;
    if (level > threshold)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s[%d] %s: ", now.tv_nsec / 1000000, prefix,
                          (int)getpid(), names[level]);
    int body = vsnprintf(line + n, sizeof line - n - 1, format, ap);
    n += body < 0 ? 0 : (size_t)body;
    if (n > sizeof line - 2)
        n = sizeof line - 2;
    if (error) {
        int tail = snprintf(line + n, sizeof line - n - 1, ": %s", strerror(error));
        n += tail < 0 ? 0 : (size_t)tail;
        if (n > sizeof line - 2)
            n = sizeof line - 2;
    }
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; /* a log that cannot be written has nobody to tell */
}

#define LOG_FUNCTION(name, level, error)   \
    void name(const char *format, ...)     \
    {                                      \
        int saved = errno;                 \
        va_list ap;                        \
        va_start(ap, format);              \
        emit(level, format, ap, (error));  \
        va_end(ap);                        \
        errno = saved;                     \
    }

LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG, 0)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, 0)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN, 0)
LOG_FUNCTION(log_warn_errno, LOG_LEVEL_WARN, saved)
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR, 0)

#define FATAL_FUNCTION(name, error, status)            \
    void name(const char *format, ...)                 \
    {                                                  \
        int saved = errno;                             \
        va_list ap;                                    \
        va_start(ap, format);                          \
        emit(LOG_LEVEL_ERROR, format, ap, (error));    \
        va_end(ap);                                    \
        (void)saved;                                   \
        exit(status);                                  \
    }

FATAL_FUNCTION(fatal, saved, 1)
FATAL_FUNCTION(fatalx, 0, 1)
FATAL_FUNCTION(fatal_never_restart, 0, EXIT_NEVER_RESTART)
