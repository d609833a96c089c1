/* A command runs to its end in one process: it asks, turns the loop until the answer is there, prints, and asks
 * again. ^C and a closed pipe set `interrupted`, which ends every wait; so commands have no callbacks of their own.
 *
 *     streamd-router tail URL DATA_DIR demo/log --sse      as supervisor/cli/cli_exec.c starts it
 *                    |    |   |        `- argv of struct cli: an argument that was taken becomes NULL
 *                    |    |   `- "" means: sign no token
 *                    |    `- of the server; the doctor's is empty, since it takes its own argument
 *                    `- name, found in the table that the caller gives
 *
 * Arguments are taken in three steps: cli_option() and cli_flag() by name, cli_argument() for the rest, and then
 * cli_misused() refuses what is left over.
 *
 * Failure modes: a message on stderr and exit 1. Text of a server may reach a terminal, so every such text goes
 * through the functions that escape (cli_print, cli_print_text, cli_vprint). */
#include "router/cli/cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/escape.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/percent.h"
#include "common/registry.h"
#include "common/token.h"

#define TOKEN_S 600

/* ---- arguments ---- */

const char *cli_option(struct cli *c, const char *name, const char *instead)
{
    for (int i = 0; i < c->argc; i++) {
        if (!c->argv[i] || strcmp(c->argv[i], name) != 0)
            continue;
        const char *value = i + 1 < c->argc ? c->argv[i + 1] : NULL;
        c->argv[i] = NULL;
        if (!value)
            c->wrong = "a value is missing after an option";
        else
            c->argv[i + 1] = NULL;
        return value ? value : instead;
    }
    return instead;
}

bool cli_flag(struct cli *c, const char *name)
{
    for (int i = 0; i < c->argc; i++)
        if (c->argv[i] && strcmp(c->argv[i], name) == 0) {
            c->argv[i] = NULL;
            return true;
        }
    return false;
}

const char *cli_argument(struct cli *c)
{
    for (int i = 0; i < c->argc; i++)
        if (c->argv[i] && strncmp(c->argv[i], "--", 2) != 0) {
            const char *argument = c->argv[i];
            c->argv[i] = NULL;
            return argument;
        }
    return NULL;
}

bool cli_misused(struct cli *c)
{
    for (int i = 0; i < c->argc && !c->wrong; i++)
        if (c->argv[i]) {
            cli_fail(c, "unexpected argument: %s (see streamd help %s)", c->argv[i], c->name);
            return true;
        }
    if (c->wrong)
        cli_fail(c, "%s (see streamd help %s)", c->wrong, c->name);
    return c->wrong != NULL;
}

PRINTF(2, 0) static void cli_vsay(const struct cli *c, const char *format, va_list list)
{
    fflush(stdout);
    fprintf(stderr, "streamd: %s: ", c->name);
    cli_vprint(stderr, format, list);
    fputc('\n', stderr);
}

void cli_say(const struct cli *c, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    cli_vsay(c, format, list);
    va_end(list);
}

int cli_fail(const struct cli *c, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    cli_vsay(c, format, list);
    va_end(list);
    return 1;
}

/* ---- output ---- */

static void cli_print_safely(struct slice text)
{
    struct buf safe = {0};
    size_t most = text.len * ESCAPE_GROWTH;
    if (text.len)
        buf_grow(&safe, escape_plain(buf_reserve(&safe, most), most, text));
    if (text.len)
        fwrite(buf_slice(&safe).data, 1, buf_len(&safe), stdout);
    buf_clear(&safe);
}

void cli_print(const char *text)
{
    cli_print_safely(slice_str(text));
}

/* How much of a line end or a tab begins here. */
static size_t cli_space_at(const char *at, const char *end)
{
    if (*at == '\r' && end - at > 1 && at[1] == '\n')
        return 2;
    return *at == '\n' || *at == '\t';
}

void cli_print_text(struct slice text)
{
    const char *from = text.data, *end = slice_end(text), *at = from;
    while (at < end) {
        size_t space = cli_space_at(at, end);
        at += space ? space : 1;
        if (!space)
            continue;
        cli_print_safely(slice_of(from, (size_t)(at - from) - space));
        fwrite(at - space, 1, space, stdout);
        from = at;
    }
    cli_print_safely(slice_of(from, (size_t)(end - from)));
}

void cli_vprint(FILE *out, const char *format, va_list list)
{
    char text[2048], safe[sizeof text * ESCAPE_GROWTH];
    int len = vsnprintf(text, sizeof text, format, list);
    size_t n = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    fwrite(safe, 1, escape_plain(safe, sizeof safe, slice_of(text, n)), out);
}

/* ---- streams ---- */

bool cli_target_parse(struct cli *c, const char *text, struct cli_target *target)
{
    struct buf path = {0};
    *target = (struct cli_target){0};
    if (!text || !*text) {
        cli_fail(c, "expected a stream: PROJECT/STREAM (see streamd help %s)", c->name);
        return false;
    }
    const char *slash = strchr(text, '/'); /* without one, all of it is a stream of the default project */
    struct slice project = slash ? project_of(slice_str(text)) : SLICE(PROJECT_DEFAULT);
    if (!project_name_valid(project) || (slash && !slash[1])) {
        cli_fail(c, "%s: a stream is PROJECT/STREAM, with a project of A-Z a-z 0-9 _ -", text);
        return false;
    }
    if (!slash)
        buf_add_slice(&path, SLICE(PROJECT_DEFAULT "/"));
    percent_encode_rest(slice_str(text), &path);
    target->project = xslicedup(project);
    target->path = xslicedup(buf_slice(&path));
    buf_clear(&path);
    return true;
}

void cli_target_clear(struct cli_target *target)
{
    free(target->project);
    free(target->path);
}

/* ---- tokens ---- */

/* A token of the whole project for ten minutes. `tail` signs a new one before each request, so it outlives its
 * tokens. */
static char *cli_sign(struct registry *registry, const char *name)
{
    struct project project;
    char *token = NULL;
    if (registry_get(registry, slice_str(name), &project) != REGISTRY_OK)
        return NULL;
    struct claims claims = {
        .scope = SCOPE_MANAGE,
        .expires_s = (uint64_t)time(NULL) + TOKEN_S,
        .subject = xstrdup(name),
    };
    if (project.secrets.count)
        token = token_sign(project.secrets.items[0], &claims);
    claims_clear(&claims);
    project_clear(&project);
    return token;
}

bool cli_token(struct cli *c, const char *project, char **token)
{
    const char *given = getenv("STREAMD_TOKEN"), *why;
    *token = NULL;
    if (given && *given)
        *token = xstrdup(given);
    if (*token || !*c->data_dir)
        return true;
    struct registry *registry = registry_open(c->data_dir, &why);
    if (!registry) {
        cli_fail(c, "%s/registry.db: %s", c->data_dir, why);
        return false;
    }
    *token = cli_sign(registry, project);
    registry_close(registry);
    if (!*token)
        cli_fail(c, "%s: there is no such project, or it has no secret to sign with", project);
    return *token != NULL;
}

void cli_token_free(char *token)
{
    if (token)
        explicit_bzero(token, strlen(token));
    free(token);
}

/* ---- the loop ---- */

void cli_flush(struct cli *c)
{
    if (fflush(stdout) != 0)
        c->interrupted = true;
}

static void cli_on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    ((struct cli *)arg)->interrupted = true;
}

static void cli_on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* it only wakes the loop */
}

void cli_turn(struct cli *c, uint64_t ms)
{
    /* The timer only bounds this turn: event_base_loop() returns as soon as any events have run. Callers loop. */
    const struct timeval after = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    if (event_add(c->timer, &after) != 0)
        fatalx("cannot set a timer");
    event_base_loop(c->base, EVLOOP_ONCE);
}

void cli_pause(struct cli *c, uint64_t ms)
{
    uint64_t until = clock_monotonic_ms() + ms, now;
    while (!c->interrupted && (now = clock_monotonic_ms()) < until)
        cli_turn(c, until - now);
}

/* ---- the process ---- */

static void cli_start(struct cli *c)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    /* A closed pipe then fails in fflush() (cli_flush()) instead of killing the process before it has cleaned up. */
    signal(SIGPIPE, SIG_IGN);
    c->base = event_base_new();
    if (!c->base)
        fatalx("cannot make an event loop");
    for (size_t i = 0; i < 2; i++) {
        c->signals[i] = evsignal_new(c->base, numbers[i], cli_on_signal, c);
        if (!c->signals[i] || event_add(c->signals[i], NULL) != 0)
            fatalx("cannot watch signal %d", numbers[i]);
    }
    c->timer = evtimer_new(c->base, cli_on_timer, c);
    if (!c->timer)
        fatalx("cannot make a timer");
    c->http_client = (struct http_client){.base = c->base, .connections = 16};
}

static void cli_stop(struct cli *c)
{
    http_client_clear(&c->http_client);
    event_free(c->timer);
    for (size_t i = 0; i < 2; i++)
        event_free(c->signals[i]);
    event_base_free(c->base);
}

static int cli_run_one(const struct cli_command *command, int argc, char **argv)
{
    struct cli c = {.name = argv[1], .url = argv[2], .data_dir = argv[3], .argv = argv + 4, .argc = argc - 4};
    log_init(c.name, -1);
    log_configure(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    cli_start(&c);
    c.ca_file = cli_option(&c, "--ca-file", NULL);
    int status = command->run(&c);
    cli_stop(&c);
    return fflush(stdout) == 0 ? status : 1;
}

int cli_run(const struct cli_command *commands, int argc, char **argv)
{
    if (argc < 4)
        return -1;
    for (; commands->name; commands++)
        if (strcmp(commands->name, argv[1]) == 0)
            return cli_run_one(commands, argc, argv);
    return -1;
}
