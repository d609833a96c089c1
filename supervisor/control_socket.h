/* The operator's door: a socket in the data folder (DATA_DIR/console), for whoever may write there. A line goes in, a
 * command; a line comes out, or several, beginning with "ok" or "error:", and the connection ends. */
#ifndef SUPERVISOR_CONTROL_SOCKET_H
#define SUPERVISOR_CONTROL_SOCKET_H

#include <event2/util.h>
#include <stdbool.h>
#include <stddef.h>

struct event;
struct event_base;
struct console_client;

/* Answers a command, now or later with console_answer_waiting(). NULL: later. */
typedef const char *console_command(void *ctx, const char *line);

struct console {
    struct event_base *base;
    int listener;
    struct event *readable;
    struct console_client *clients;
    unsigned count;
    console_command *command;
    void *ctx;
};

/* Ends the process if there cannot be a socket. */
void console_open(struct console *console, struct event_base *base, const char *data_dir, console_command *command,
                  void *ctx);
void console_close(struct console *console);

/* Answers all who wait. */
void console_answer_waiting(struct console *console, const char *line);

/* The other side: sends a command to the streamd that works on the folder and prints its answer. Returns the exit
 * status: 0 if that is "ok...". */
int console_ask(const char *data_dir, const char *line);

/* The same, but the answer goes to `answer`, without "ok " and the line's end. False: there is none, or an error; *why
 * is a static text. */
bool console_get(const char *data_dir, const char *line, char *answer, size_t size, const char **why);

#endif
