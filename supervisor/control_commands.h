/* The commands of the control socket (supervisor/data_dir/control_socket.h) and their answers: status, address, auth,
 * backup. */
#ifndef SUPERVISOR_CONTROL_COMMANDS_H
#define SUPERVISOR_CONTROL_COMMANDS_H

#include <stdbool.h>

/* Answers a command. NULL: a backup was begun, and its end is the answer. ctx: the struct server. */
const char *control_commands_on_line(void *ctx, const char *line);

/* A backup has ended: answers the clients that wait for it. ctx: the struct server. */
void control_commands_on_backup_ended(void *ctx, bool good, const char *text);

#endif
