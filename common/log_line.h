/* One event as one line, in one of three formats. Pure. Whatever stands in a message or in a field, the line stays one,
 * and a reader of its format gets back what was put in, but for what is too long: that is cut, or the field left out.
 *
 *     text    2026-11-25T09:30:00.123Z shard/2[4711] warn: no backup now: the bucket is away attempts=3
 *     logfmt  time=2026-11-25T09:30:00.123Z level=warn role=shard index=2 pid=4711 msg="no backup now: …" attempts=3
 *     json    {"time":"2026-11-25T09:30:00.123Z","level":"warn","role":"shard","index":2,"pid":4711,"msg":"…",…}
 *
 * For journald each begins with its priority, "<4>", and all but JSON go without the time, which the journal has. */
#ifndef COMMON_LOG_LINE_H
#define COMMON_LOG_LINE_H

#include <stdint.h>
#include <time.h>

#include "common/attr.h"
#include "common/choices.h"
#include "common/slice.h"

#define LOG_LINE_MAX 4096 /* PIPE_BUF: a line is one write, and lines of several processes do not mix */

struct log_line {
    enum log_format format;
    size_t len;
    char text[LOG_LINE_MAX];
};

struct log_event {
    enum log_level level;
    struct timespec time;
    const char *role;
    int index; /* < 0: there is only one */
    int pid;
    bool journal; /* journald reads it */
};

void log_line_begin(struct log_line *line, enum log_format format, const struct log_event *event, struct slice message);

/* Names are ours and need no escaping. */
void log_line_text(struct log_line *line, const char *name, struct slice value);
void log_line_number(struct log_line *line, const char *name, uint64_t value);
void log_line_ms(struct log_line *line, const char *name, uint64_t us); /* as milliseconds, with three decimals */

/* Ends it. Returns it, with its line feed. */
struct slice log_line_end(struct log_line *line);

#endif
