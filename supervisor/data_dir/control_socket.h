/* The operator's door: a socket in the data folder (DATA_DIR/console), for whoever may write there. A line goes in, a
 * command; a line comes out, or several, beginning with "ok" or "error:", and the connection ends. */
#ifndef SUPERVISOR_DATA_DIR_CONTROL_SOCKET_H
#define SUPERVISOR_DATA_DIR_CONTROL_SOCKET_H

#include <event2/util.h>
#include <stdbool.h>
#include <stddef.h>

struct event;
struct event_base;
struct control_socket_client;

/* Answers a command, now or later with control_socket_answer_waiting(). NULL: later. */
typedef const char *control_socket_command(void *ctx, const char *line);

struct control_socket {
    struct event_base *base;
    int listener;
    struct event *readable;
    struct control_socket_client *clients;
    unsigned count;
    control_socket_command *command;
    void *ctx;
};

/* Ends the process if there cannot be a socket. */
void control_socket_open(struct control_socket *control_socket, struct event_base *base, const char *data_dir,
                         control_socket_command *command, void *ctx);
void control_socket_close(struct control_socket *control_socket);

/* Answers all who wait. */
void control_socket_answer_waiting(struct control_socket *control_socket, const char *line);

/* The other side: sends a command to the streamd that works on the folder and prints its answer. Returns the exit
 * status: 0 if that is "ok...". */
int control_socket_ask(const char *data_dir, const char *line);

/* The same, but the answer goes to `answer`, without "ok " and the line's end. False: there is none, or an error; *why
 * is a static text. */
bool control_socket_get(const char *data_dir, const char *line, char *answer, size_t size, const char **why);

#endif
