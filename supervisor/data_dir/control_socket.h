/* The operator's door to a running server: a socket in the data folder (DATA_DIR/console), for every user who may write
 * there. A client sends one line, a command; it gets one line or several, which begin with "ok" or "error:", and the
 * connection ends. */
#ifndef SUPERVISOR_DATA_DIR_CONTROL_SOCKET_H
#define SUPERVISOR_DATA_DIR_CONTROL_SOCKET_H

#include <event2/util.h>
#include <stdbool.h>
#include <stddef.h>

struct event;
struct event_base;
struct control_socket_client;

/* Returns the answer to a command. NULL: it comes later, by control_socket_answer_waiting(). */
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

/* Answers all clients that wait. */
void control_socket_answer_waiting(struct control_socket *control_socket, const char *line);

/* For commands: sends a line to the streamd that works on the folder and prints the answer. Returns the exit status: 0
 * if the answer begins with "ok". */
int control_socket_ask(const char *data_dir, const char *line);

/* The same, but the answer goes to `answer`, without "ok " and the line's end. False: there is no answer, or an error;
 * *why is a static text. */
bool control_socket_get(const char *data_dir, const char *line, char *answer, size_t size, const char **why);

#endif
