/* Operators' commands that speak HTTP to a server: `streamd-router COMMAND URL DATA_DIR ARGUMENT...`, which is how
 * streamd runs them (supervisor/cli/cli_exec.h). Arguments, requests, what goes wrong. */
#ifndef ROUTER_CLI_CLI_H
#define ROUTER_CLI_CLI_H

#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/http_client.h"

#define COMMAND_TIMEOUT_MS 30000u

struct command {
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

/* Runs the command that argv names and returns its exit status; -1: it names none. */
int command_main(int argc, char **argv);

int command_streams(struct command *command); /* command_streams.c */
int command_show(struct command *command);    /* command_show.c */
int command_tail(struct command *command);    /* command_tail.c */
int command_doctor(struct command *command);  /* doctor.c */

/* ---- arguments ---- */

/* Takes `NAME VALUE` out of the arguments: the value, or what there is instead. */
const char *command_option(struct command *command, const char *name, const char *instead);
bool command_flag(struct command *command, const char *name);
/* The next that is no option; NULL: there is none. */
const char *command_argument(struct command *command);
/* True, and said so: something was wrong with the arguments, or there are more of them. */
bool command_misused(struct command *command) MUSTUSE;

/* The exit status 1, and why, on standard error. */
PRINTF(2, 3) int command_fail(const struct command *command, const char *format, ...);
/* Says something beside the output. */
PRINTF(2, 3) void command_say(const struct command *command, const char *format, ...);

/* ---- what servers say, on a terminal perhaps ---- */

/* Prints it, with what is no letter to a terminal escaped. */
void command_print(const char *text);
/* The same, but line ends and tabs stay what they are. */
void command_print_text(struct slice text);
PRINTF(2, 0) void command_vprint(FILE *out, const char *format, va_list list);

/* A stream as it was named, "PROJECT/STREAM" or "STREAM" of _default, percent-encoded or not. */
struct target {
    char *project;
    char *path; /* "PROJECT/STREAM", percent-encoded */
};

/* False, and said so: it is none. The caller clears it. */
bool target_parse(struct command *command, const char *text, struct target *target) MUSTUSE;
void target_clear(struct target *target);

/* ---- the loop, and tokens ---- */

/* What was printed leaves now; if nobody takes it, that is an interruption. */
void command_flush(struct command *command);

/* One turn of the loop, at most so long. */
void command_turn(struct command *command, uint64_t ms);
void command_pause(struct command *command, uint64_t ms);

/* The token that was given, or one that is signed now and good for ten minutes. The caller frees it. False, and said
 * so: there is no such project. *token NULL: none is wanted. */
bool command_token(struct command *command, const char *project, char **token) MUSTUSE;
void command_token_free(char *token);

#endif
