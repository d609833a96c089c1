/* One line in three formats, put together in a fixed room:
 *
 *     text    2026-01-02T03:04:05.678Z shard/2[4711] warn: the disk is full id=42
 *     logfmt  time=2026-01-02T03:04:05.678Z level=warn role=shard index=2 pid=4711 msg="the disk is full" id=42
 *     json {"time":"2026-01-02T03:04:05.678Z","level":"warn","role":"shard","index":2,"pid":4711,"msg":"...","id":42}
 *
 * A field that does not fit is left out whole; the message is cut at MESSAGE_ROOM, so that a long one leaves room
 * for the request's id. Every text is escaped here and nowhere else: a line feed, a terminal's escape or a quote in
 * a client's header cannot make a second line. For systemd's journal a line begins with its priority, <4>, and only
 * JSON keeps the time, since the journal has its own. */
#include "common/log_line.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/escape.h"

#define END_ROOM 4         /* a quote, a brace, a line feed */
#define MESSAGE_ROOM 2048u /* the message leaves something to the fields */

static const int log_line_priorities[] = {/* syslog(3) */
                                          [LOG_LEVEL_ERROR] = 3,
                                          [LOG_LEVEL_WARN] = 4,
                                          [LOG_LEVEL_INFO] = 6,
                                          [LOG_LEVEL_DEBUG] = 7};

static void log_line_put(struct log_line *line, struct slice text)
{
    memcpy(line->text + line->len, text.data, text.len);
    line->len += text.len;
}

static size_t log_line_room(const struct log_line *line)
{
    return line->len < LOG_LINE_MAX - END_ROOM ? LOG_LINE_MAX - END_ROOM - line->len : 0;
}

static void log_line_put_quoted(struct log_line *line, struct slice text, size_t most)
{
    log_line_put(line, SLICE("\""));
    line->len += escape_json(line->text + line->len, most < log_line_room(line) ? most : log_line_room(line), text);
    log_line_put(line, SLICE("\""));
}

/* The name of a field, and whether there is room for it and `len` more. */
static bool log_line_put_name(struct log_line *line, const char *name, size_t len)
{
    struct slice text = slice_str(name);
    if (log_line_room(line) < text.len + len + 4)
        return false;
    if (line->format != LOG_FORMAT_JSON) {
        log_line_put(line, SLICE(" "));
        log_line_put(line, text);
        log_line_put(line, SLICE("="));
        return true;
    }
    log_line_put(line, line->text[line->len - 1] == '{' ? SLICE("\"") : SLICE(",\""));
    log_line_put(line, text);
    log_line_put(line, SLICE("\":"));
    return true;
}

static void log_line_put_text(struct log_line *line, const char *name, struct slice value, size_t most)
{
    /* 16 bytes are enough to show something of the value; with less room the field is left out. */
    if (!log_line_put_name(line, name, 16))
        return;
    if (line->format != LOG_FORMAT_JSON && escape_bare(value) && value.len <= log_line_room(line) && value.len <= most)
        log_line_put(line, value);
    else
        log_line_put_quoted(line, value, most);
}

void log_line_text(struct log_line *line, const char *name, struct slice value)
{
    log_line_put_text(line, name, value, LOG_LINE_MAX);
}

void log_line_number(struct log_line *line, const char *name, uint64_t value)
{
    char digits[24];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, value);
    if (log_line_put_name(line, name, len))
        log_line_put(line, slice_of(digits, len));
}

void log_line_ms(struct log_line *line, const char *name, uint64_t us)
{
    char digits[32];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64 ".%03u", us / 1000, (unsigned)(us % 1000));
    if (log_line_put_name(line, name, len))
        log_line_put(line, slice_of(digits, len));
}

static size_t log_line_print_time(char out[40], const struct timespec *time)
{
    struct tm tm;
    gmtime_r(&time->tv_sec, &tm);
    size_t len = strftime(out, 30, "%Y-%m-%dT%H:%M:%S", &tm);
    return len + (size_t)snprintf(out + len, 40 - len, ".%03ldZ", time->tv_nsec / 1000000);
}

/* "… shard/2[4711] warn: message" */
static void log_line_begin_text(struct log_line *line, const struct log_event *event, struct slice time,
                                struct slice message)
{
    char index[16] = "", start[80];
    if (event->index >= 0)
        snprintf(index, sizeof index, "/%d", event->index);
    int len = snprintf(start, sizeof start, "%.32s%s[%d] %s: ", event->role, index, event->pid,
                       choice_log_level[event->level]);
    log_line_put(line, time);
    log_line_put(line, time.len ? SLICE(" ") : SLICE(""));
    log_line_put(line, slice_of(start, (size_t)len));
    line->len += escape_plain(line->text + line->len, MESSAGE_ROOM, message);
}

static void log_line_begin_fields(struct log_line *line, const struct log_event *event, struct slice time,
                                  struct slice message)
{
    size_t start = line->len;
    if (time.len)
        log_line_text(line, "time", time);
    log_line_text(line, "level", slice_str(choice_log_level[event->level]));
    log_line_text(line, "role", slice_str(event->role));
    if (event->index >= 0)
        log_line_number(line, "index", (uint64_t)event->index);
    log_line_number(line, "pid", (uint64_t)event->pid);
    log_line_put_text(line, "msg", message, MESSAGE_ROOM);
    if (line->format == LOG_FORMAT_LOGFMT) { /* the first field has no space before it */
        memmove(line->text + start, line->text + start + 1, line->len - start - 1);
        line->len--;
    }
}

void log_line_begin(struct log_line *line, enum log_format format, const struct log_event *event, struct slice message)
{
    char time[40];
    struct slice when = slice_of(time, log_line_print_time(time, &event->time));
    line->format = format;
    line->len = 0;
    if (event->journal) {
        const char priority[] = {'<', (char)('0' + log_line_priorities[event->level]), '>'};
        log_line_put(line, slice_of(priority, sizeof priority));
        if (format != LOG_FORMAT_JSON)
            when.len = 0;
    }
    if (format == LOG_FORMAT_JSON)
        log_line_put(line, SLICE("{"));
    if (format == LOG_FORMAT_TEXT)
        log_line_begin_text(line, event, when, message);
    else
        log_line_begin_fields(line, event, when, message);
}

struct slice log_line_end(struct log_line *line)
{
    if (line->format == LOG_FORMAT_JSON)
        log_line_put(line, SLICE("}"));
    log_line_put(line, SLICE("\n"));
    return slice_of(line->text, line->len);
}
