/* The operator's commands that speak HTTP, for the table in router/main.c. Each takes its arguments out of *cli and
 * returns the exit status. */
#ifndef ROUTER_CLI_COMMANDS_H
#define ROUTER_CLI_COMMANDS_H

struct cli;

int cli_streams(struct cli *cli);
int cli_show(struct cli *cli);
int cli_tail(struct cli *cli);
int cli_doctor(struct cli *cli);

#endif
