/* One HTTP request of an operator's command, and its answer. */
#ifndef ROUTER_CLI_CLI_REQUEST_H
#define ROUTER_CLI_CLI_REQUEST_H

#include "common/document.h"
#include "common/http_client.h"

struct command;

struct call {
    /* The question. Zeroed but for what is set. */
    const char *method; /* NULL: GET */
    const char *token;  /* NULL: none */
    struct buf headers; /* "Name: value\0"...; taken */
    struct slice body;  /* stays as long as it is under way */
    uint64_t timeout_ms;
    http_client_piece *piece; /* as in common/http_client.h */
    void *ctx;                /* of piece */

    /* The answer, as far as it is there. */
    bool done;
    const char *failure; /* why there is none, or NULL */
    long status;
    bool reused;
    struct buf said; /* its headers: "name\0value\0"..., names in lower case */
    struct buf text; /* its body */
    struct http_client_call *under_way;
};

/* Starts it. `path` goes behind the server's URL. */
void call_start(struct command *command, struct call *call, const char *path);
/* Until it is done, or the command is interrupted. */
void call_wait(struct command *command, struct call *call);
/* Both. */
void call_make(struct command *command, struct call *call, const char *path);
/* Both, with a token of the project, for a document, which the caller deletes. NULL: there is none, and it was said
 * why, unless it is an interruption. */
cJSON *call_document(struct command *command, struct call *call, const char *project, const char *path) MUSTUSE;
/* Gives it up, if it is under way, and frees what it has; it may be used again. */
void call_clear(struct call *call);

void call_add_header(struct call *call, const char *name, const char *value);
/* The value of a header of the answer; data NULL: it has none such. */
struct slice call_header(const struct call *call, const char *name);
bool call_says(const struct call *call, const char *name, const char *value);

/* The exit status 1, and on standard error what the server has said, or why it has said nothing. */
int call_fail(const struct command *command, const struct call *call);

#endif
