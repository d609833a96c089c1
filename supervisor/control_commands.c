/* The older part of these answers crosses versions: a command of the version before asks "address" and "auth", and an
 * older server answers "error: there is no such command". So lines are only ever added. */
#include "supervisor/control_commands.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "supervisor/server.h"

void control_commands_on_backup_ended(void *ctx, bool good, const char *text)
{
    struct server *server = ctx;
    char line[320];
    snprintf(line, sizeof line, "%s %s", good ? "ok" : "error:", text);
    control_socket_answer_waiting(&server->control_socket, line);
}

static const char *control_commands_address(const struct address *address)
{
    static char text[ADDRESS_MAX + 16];
    snprintf(text, sizeof text, address->v6 ? "ok [%s]:%s" : "ok %s:%s", address->host, address->port);
    return text;
}

const char *control_commands_on_line(void *ctx, const char *line)
{
    static char text[160];
    struct server *server = ctx;
    if (strcmp(line, "status") == 0)
        return status_say(&server->status, clock_monotonic_ms());
    if (strcmp(line, "address") == 0)
        return control_commands_address(&server->listeners.address);
    if (strcmp(line, "auth") == 0) {
        snprintf(text, sizeof text, "ok %s", choice_auth_mode[server->cfg->auth_mode]);
        return text;
    }
    if (strcmp(line, "backup") != 0)
        return "error: there is no such command";
    /* NULL keeps the asker waiting: control_commands_on_backup_ended() answers it when the backup is over. */
    const char *why = server->phase == PHASE_SERVING ? backups_begin(&server->backups) : "it does not serve now";
    snprintf(text, sizeof text, "error: %s", why ? why : "");
    return why ? text : NULL;
}
