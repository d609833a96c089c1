/* One line an event on standard error, in the format of log.format. Of lines that repeat themselves the first are
 * written and the others counted (log_limit.h). Threads may log. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/attr.h"
#include "common/log_line.h"

/* Exit status of a process that must not be restarted: its configuration or its data is wrong (EX_CONFIG). */
#define EXIT_NEVER_RESTART 78

/* Names this process in every line: "shard/2". index < 0: the role alone. Sees whether journald listens. */
void log_init(const char *role, int index);

/* Sets the level and the format of lines (log.level, log.format). Before the first call: info, text. */
void log_configure(enum log_level level, enum log_format format);

/* The _errno form ends the line with strerror(errno); errno is kept by all of them. */
void log_debug(const char *format, ...) PRINTF(1, 2);
void log_info(const char *format, ...) PRINTF(1, 2);
void log_warn(const char *format, ...) PRINTF(1, 2);
void log_warn_errno(const char *format, ...) PRINTF(1, 2);
void log_error(const char *format, ...) PRINTF(1, 2);

/* A line with fields. False: it is not wanted, or (kind not NULL: see log_limit.h) too many like it came. Else the
 * caller adds its fields (log_line.h) and ends it. */
bool log_begin(struct log_line *line, enum log_level level, const void *kind, struct slice message) MUSTUSE;
void log_end(struct log_line *line);

/* To be called about once a second: says what was held back. last: and in the second that is not over. */
void log_tick(bool last);

/* Ends the process with status 1; the supervisor starts it again. fatal() adds strerror(errno), fatalx() does not. */
NORETURN void fatal(const char *format, ...) PRINTF(1, 2);
NORETURN void fatalx(const char *format, ...) PRINTF(1, 2);

/* Ends the process with EXIT_NEVER_RESTART. */
NORETURN void fatal_never_restart(const char *format, ...) PRINTF(1, 2);

#endif
