/* One line an event on standard error, prefixed with the role and its index. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/attr.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Exit status of a process that must not be restarted: its configuration or its data is wrong (EX_CONFIG). */
#define EXIT_NEVER_RESTART 78

/* Names this process in every line: "shard/2". index < 0: the role alone. */
void log_init(const char *role, int index, enum log_level level);
void log_set_level(enum log_level level);

/* One of the words that server.log_level allows. */
enum log_level log_level_of(const char *word);

/* The _errno form ends the line with strerror(errno); errno is kept by all of them. */
void log_debug(const char *format, ...) PRINTF(1, 2);
void log_info(const char *format, ...) PRINTF(1, 2);
void log_warn(const char *format, ...) PRINTF(1, 2);
void log_warn_errno(const char *format, ...) PRINTF(1, 2);
void log_error(const char *format, ...) PRINTF(1, 2);

/* Ends the process with status 1; the supervisor starts it again. fatal() adds strerror(errno), fatalx() does not. */
NORETURN void fatal(const char *format, ...) PRINTF(1, 2);
NORETURN void fatalx(const char *format, ...) PRINTF(1, 2);

/* Ends the process with EXIT_NEVER_RESTART. */
NORETURN void fatal_never_restart(const char *format, ...) PRINTF(1, 2);

#endif
