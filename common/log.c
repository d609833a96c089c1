/* One line an event to standard error. The only file-wide state of a process is here, because a line may be written
 * from anywhere, also while memory is short: nothing here allocates.
 *
 * Happy path: the level is looked at first, so a debug line costs a comparison; then the limit of repeated lines
 * (log_limit.h), whose kind is the format string's address; then the line is put together on the stack and leaves with
 * one write(), so lines of several processes on one pipe never mix.
 *
 * Failure modes: a log that cannot be written loses lines and nothing else. Held-back lines are counted, and the count
 * is written by the next line, by log_tick(), or before the process ends. The worker thread logs too: the limit has a
 * lock. */
#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log_limit.h"

/* The only file-wide state of the program. */
static char log_role_name[32] = "streamd";
static int log_role_index = -1;
static bool log_journal;
static enum log_level log_threshold = LOG_LEVEL_INFO;
static enum log_format log_form = LOG_FORMAT_TEXT;
static struct log_limit log_limit;
static pthread_mutex_t log_limit_lock = PTHREAD_MUTEX_INITIALIZER;

/* sd_journal_stream_fd(3): what standard error was made to be, if it still is that. */
static bool log_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char own[64];
    if (!stream || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(own, stream) == 0;
}

void log_init(const char *role, int index)
{
    snprintf(log_role_name, sizeof log_role_name, "%s", role);
    log_role_index = index;
    log_journal = log_is_journal();
}

void log_configure(enum log_level level, enum log_format format)
{
    log_threshold = level;
    log_form = format;
}

static void log_start(struct log_line *line, enum log_level level, struct slice message)
{
    struct log_event event = {
        .level = level, .role = log_role_name, .index = log_role_index, .pid = (int)getpid(), .journal = log_journal};
    clock_gettime(CLOCK_REALTIME, &event.time);
    log_line_begin(line, log_form, &event, message);
}

void log_end(struct log_line *line)
{
    struct slice text = log_line_end(line);
    ssize_t written = write(STDERR_FILENO, text.data, text.len);
    (void)written; /* a log that cannot be written has nobody to tell */
}

/* ---- what repeats itself ---- */

static void log_tell_held(uint64_t now_ms, bool all)
{
    const struct log_kind *kind;
    unsigned held;
    while ((kind = log_limit_due(&log_limit, now_ms, all, &held))) {
        struct log_line line;
        log_start(&line, kind->level, slice_str(kind->last));
        log_line_number(&line, "repeated", held);
        log_end(&line);
    }
}

void log_tick(bool last)
{
    pthread_mutex_lock(&log_limit_lock);
    log_tell_held(clock_monotonic_ms(), last);
    pthread_mutex_unlock(&log_limit_lock);
}

static bool log_is_held(const void *kind, enum log_level level, struct slice message)
{
    uint64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&log_limit_lock);
    log_tell_held(now_ms, false);
    struct log_kind *held = log_limit_hold(&log_limit, kind, now_ms);
    if (held) {
        size_t len = message.len < sizeof held->last ? message.len : sizeof held->last - 1;
        memcpy(held->last, message.data, len);
        held->last[len] = 0;
        held->level = level;
    }
    pthread_mutex_unlock(&log_limit_lock);
    return held;
}

/* ---- lines ---- */

bool log_begin(struct log_line *line, enum log_level level, const void *kind, struct slice message)
{
    if (level > log_threshold || (kind && log_is_held(kind, level, message)))
        return false;
    log_start(line, level, message);
    return true;
}

/* kind NULL: it is written whatever there was before. */
static void log_emit(enum log_level level, const void *kind, const char *format, va_list ap, int error)
{
    char message[2048];
    struct log_line line;
    if (level > log_threshold)
        return;
    int len = vsnprintf(message, sizeof message, format, ap);
    size_t n = len < 0 ? 0 : (size_t)len < sizeof message ? (size_t)len : sizeof message - 1;
    if (error)
        n += (size_t)snprintf(message + n, sizeof message - n, ": %s", strerror(error));
    if (!log_begin(&line, level, kind, slice_of(message, n < sizeof message ? n : sizeof message - 1)))
        return;
    log_end(&line);
}

#define LOG_FUNCTION(name, level, error)                                                                               \
    void name(const char *format, ...)                                                                                 \
    {                                                                                                                  \
        int saved = errno;                                                                                             \
        va_list ap;                                                                                                    \
        va_start(ap, format);                                                                                          \
        log_emit(level, format, format, ap, (error));                                                                  \
        va_end(ap);                                                                                                    \
        errno = saved;                                                                                                 \
    }

LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG, 0)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, 0)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN, 0)
LOG_FUNCTION(log_warn_errno, LOG_LEVEL_WARN, saved)
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR, 0)

#define FATAL_FUNCTION(name, error, status)                                                                            \
    void name(const char *format, ...)                                                                                 \
    {                                                                                                                  \
        int saved = errno;                                                                                             \
        va_list ap;                                                                                                    \
        log_tick(true);                                                                                                \
        va_start(ap, format);                                                                                          \
        log_emit(LOG_LEVEL_ERROR, NULL, format, ap, (error));                                                          \
        va_end(ap);                                                                                                    \
        (void)saved;                                                                                                   \
        exit(status);                                                                                                  \
    }

FATAL_FUNCTION(fatal, saved, 1)
FATAL_FUNCTION(fatalx, 0, 1)
FATAL_FUNCTION(fatal_never_restart, 0, EXIT_NEVER_RESTART)
