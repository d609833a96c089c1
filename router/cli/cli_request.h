/* One HTTP request of an operator's command, and its answer. */
#ifndef ROUTER_CLI_CLI_REQUEST_H
#define ROUTER_CLI_CLI_REQUEST_H

#include "common/document.h"
#include "common/http_client.h"

struct cli;

struct cli_request {
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
void cli_request_start(struct cli *cli, struct cli_request *request, const char *path);
/* Until it is done, or the command is interrupted. */
void cli_request_wait(struct cli *cli, struct cli_request *request);
/* Both. */
void cli_request_make(struct cli *cli, struct cli_request *request, const char *path);
/* Both, with a token of the project, for a document, which the caller deletes. NULL: there is none, and it was said
 * why, unless it is an interruption. */
cJSON *cli_request_document(struct cli *cli, struct cli_request *request, const char *project,
                            const char *path) MUSTUSE;
/* Gives it up, if it is under way, and frees what it has; it may be used again. */
void cli_request_clear(struct cli_request *request);

void cli_request_add_header(struct cli_request *request, const char *name, const char *value);
/* The value of a header of the answer; data NULL: it has none such. */
struct slice cli_request_header(const struct cli_request *request, const char *name);
bool cli_request_says(const struct cli_request *request, const char *name, const char *value);

/* The exit status 1, and on standard error what the server has said, or why it has said nothing. */
int cli_request_fail(const struct cli *cli, const struct cli_request *request);

#endif
