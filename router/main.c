/* streamd-router: started by streamd, speaks HTTP to clients and frames to shards; or `streamd-router COMMAND URL ...`:
 * is a client itself, of an operator's. */
#include "common/role.h"
#include "router/cli/cli.h"
#include "router/cli/commands.h"
#include "router/router.h"

static const struct cli_command main_commands[] = {
    {"streams", cli_streams}, {"show", cli_show}, {"tail", cli_tail}, {"doctor", cli_doctor}, {NULL, NULL},
};

int main(int argc, char **argv)
{
    static struct router router;
    struct role role = {
        .kind = ROLE_ROUTER,
        .ctx = &router,
        .start = router_start,
        .peer = router_peer,
        .listener = router_listener,
        .metrics_listener = router_metrics_listener,
        .reload = router_reload,
        .successor = router_successor,
        .predecessor = router_predecessor,
        .stop = router_stop,
        .turn = router_turn,
    };
    int status = cli_run(main_commands, argc, argv);
    if (status >= 0)
        return status;
    router.role = &role;
    return role_run(&role, argc, argv);
}
