/* Commands that speak HTTP live in streamd-router. This file finds out which server they go to, and becomes that
 * program:
 *
 *     streamd tail demo/log --sse
 *     -> streamd-router tail URL DATA_DIR demo/log --sse
 *
 * URL is --url, or the address that the running server gives over its control socket. DATA_DIR lets the command sign
 * a token with the project's key; an empty one means that it must not. Tokens are signed only for the server of this
 * folder in auth.mode = jwt, and only if no token was given: a server that --url names must not get one.
 *
 * Failure modes: no server works on the folder, or an option has no value: a message and exit 1. --token goes into
 * the environment, so that it does not stand among the arguments of streamd-router. */
#include "supervisor/cli/cli_exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/mem.h"
#include "supervisor/data_dir/control_socket.h"
#include "supervisor/children/process.h"

#define URL_ROOM 1024

struct cli_exec {
    char url[URL_ROOM];
    bool elsewhere; /* --url names the server: it gets no token that we sign */
    char **arguments;
    int count;
};

static int cli_exec_fail(const char *command, const char *why)
{
    fprintf(stderr, "streamd: %s: %s\n", command, why);
    return 1;
}

/* A server that listens on every address is reached on this machine's own. */
static bool cli_exec_url_of(const char *listens, char url[URL_ROOM])
{
    struct address address;
    if (!address_parse(listens, &address))
        return false;
    const char *host = address.host;
    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "::") == 0)
        host = "::1";
    snprintf(url, URL_ROOM, address.v6 ? "http://[%s]:%s" : "http://%s:%s", host, address.port);
    return true;
}

/* Finds the server that works on the data folder: only that one gets a token. Returns NULL, or why there is none. */
static const char *cli_exec_find(const struct config *cfg, char url[URL_ROOM])
{
    static char text[512];
    char listens[ADDRESS_MAX + 16];
    const char *why = "its address has no URL";
    if (control_socket_get(cfg->server_data_dir, "address", listens, sizeof listens, &why) &&
        cli_exec_url_of(listens, url))
        return NULL;
    snprintf(text, sizeof text, "%s: %s; --url says where another server is", cfg->server_data_dir, why);
    return text;
}

/* The running server knows its auth.mode better than the configuration that this command has read. An older one does
 * not answer the question. */
static bool cli_exec_wants_tokens(const struct config *cfg)
{
    char mode[32];
    const char *why;
    bool said = control_socket_get(cfg->server_data_dir, "auth", mode, sizeof mode, &why);
    int running = said ? choice_find(choice_auth_mode, slice_str(mode)) : (int)cfg->auth_mode;
    return running == AUTH_MODE_JWT;
}

/* Takes --url and --token out of the arguments. */
static const char *cli_exec_take(struct cli_exec *exec, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool url = strcmp(argv[i], "--url") == 0, token = strcmp(argv[i], "--token") == 0;
        if (!url && !token) {
            exec->arguments[exec->count++] = argv[i];
            continue;
        }
        if (i + 1 == argc)
            return url ? "a value is missing after --url" : "a value is missing after --token";
        const char *value = argv[++i];
        if (token)
            setenv("STREAMD_TOKEN", value, 1);
        if (url && (size_t)snprintf(exec->url, sizeof exec->url, "%s", value) >= sizeof exec->url)
            return "--url is too long";
        exec->elsewhere |= url;
    }
    return NULL;
}

int cli_exec_run(const struct config *cfg, int argc, char **argv)
{
    /* Slots 0 to 3 are the program, the command, the URL and the folder; one more entry than is used ends the list. */
    struct cli_exec exec = {.arguments = xcalloc((size_t)argc + 4, sizeof *argv), .count = 4};
    /* The doctor examines a URL from outside, so no server has to run on this machine, and nothing is signed for it. */
    bool doctor = strcmp(argv[0], "doctor") == 0; /* its URL is an argument */
    const char *wrong = cli_exec_take(&exec, argc, argv);
    if (!wrong && doctor && exec.elsewhere)
        wrong = "the URL is an argument; do not use --url";
    if (!wrong && !doctor && !exec.elsewhere)
        wrong = cli_exec_find(cfg, exec.url);
    if (!wrong) {
        bool sign = !doctor && !exec.elsewhere && !getenv("STREAMD_TOKEN") && cli_exec_wants_tokens(cfg);
        exec.arguments[1] = argv[0];
        exec.arguments[2] = exec.url;
        exec.arguments[3] = sign ? cfg->server_data_dir : "";
        process_become("streamd-router", exec.arguments);
    }
    free(exec.arguments);
    return wrong ? cli_exec_fail(argv[0], wrong) : 1;
}
