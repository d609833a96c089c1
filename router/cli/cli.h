/* The ground of the operator's commands that speak HTTP to a server: `streamd-router COMMAND URL DATA_DIR ARGUMENT...`,
 * which is how streamd runs them (supervisor/cli/cli_exec.h). Arguments, output, errors, tokens, the loop. */
#ifndef ROUTER_CLI_CLI_H
#define ROUTER_CLI_CLI_H

#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/http_client.h"

#define CLI_TIMEOUT_MS 30000u

struct cli {
    const char *name;
    const char *url;      /* of the server, without a slash at its end */
    const char *data_dir; /* where tokens are signed; "": nowhere */
    const char *ca_file;  /* NULL: the system's certificates */
    char **argv;          /* what was given; NULL for what was taken */
    int argc;
    const char *wrong; /* with the arguments */
    struct event_base *base;
    struct event *timer, *signals[2];
    struct http_client http_client;
    bool interrupted; /* ^C, or what prints is gone */
};

struct cli_command {
    const char *name;
    int (*run)(struct cli *cli); /* returns the exit status */
};

/* Runs the command that argv names and returns its exit status; -1: it names none. A NULL name ends the list. */
int cli_run(const struct cli_command *commands, int argc, char **argv);

/* ---- arguments ---- */

/* Takes `NAME VALUE` out of the arguments and returns the value; if there is none, what is given instead. */
const char *cli_option(struct cli *cli, const char *name, const char *instead);
bool cli_flag(struct cli *cli, const char *name);
/* Takes the next argument that is no option; NULL: there is none. */
const char *cli_argument(struct cli *cli);
/* True, and said on standard error: something was wrong with the arguments, or some are left. */
bool cli_misused(struct cli *cli) MUSTUSE;

/* Prints why on standard error, and returns the exit status 1. */
PRINTF(2, 3) int cli_fail(const struct cli *cli, const char *format, ...);
/* Prints a line on standard error. */
PRINTF(2, 3) void cli_say(const struct cli *cli, const char *format, ...);

/* ---- output: what servers say may reach a terminal ---- */

/* Prints a text; what would control a terminal is escaped. */
void cli_print(const char *text);
/* The same, but line ends and tabs are printed as they are. */
void cli_print_text(struct slice text);
PRINTF(2, 0) void cli_vprint(FILE *out, const char *format, va_list list);

/* A stream as it was named, "PROJECT/STREAM" or "STREAM" of _default, percent-encoded or not. */
struct cli_target {
    char *project;
    char *path; /* "PROJECT/STREAM", percent-encoded */
};

/* False, and said on standard error: the text names no stream. The caller clears the target. */
bool cli_target_parse(struct cli *cli, const char *text, struct cli_target *target) MUSTUSE;
void cli_target_clear(struct cli_target *target);

/* ---- the loop, and tokens ---- */

/* Flushes standard output. If that fails, the command is interrupted. */
void cli_flush(struct cli *cli);

/* One turn of the loop, of at most so many ms. */
void cli_turn(struct cli *cli, uint64_t ms);
/* Turns for so long, unless the command is interrupted. */
void cli_pause(struct cli *cli, uint64_t ms);

/* The token that was given, or one that is signed now and good for ten minutes. The caller frees it. False, and said on
 * standard error: there is no such project. *token NULL: none is wanted. */
bool cli_token(struct cli *cli, const char *project, char **token) MUSTUSE;
void cli_token_free(char *token);

#endif
