#include "router/cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/document.h"
#include "common/offset.h"
#include "common/project.h"
#include "common/random.h"
#include "router/handlers/rules.h"

#define IDLE_S "20"
#define IDLE_MAX_S 3600u

static doctor_check *const doctor_checks[] = {
    doctor_health, doctor_create, doctor_producer,    doctor_head,   doctor_body, doctor_bytes, doctor_etag,
    doctor_stale,  doctor_cache,  doctor_connections, doctor_events, doctor_poll, doctor_idle,
};

/* ---- what the checks say ---- */

PRINTF(3, 0) static void doctor_print(const char *mark, const char *what, const char *format, va_list list)
{
    printf("%-5s%-13s", mark, what);
    command_vprint(stdout, format, list);
    puts("");
    fflush(stdout);
}

void doctor_good(struct doctor *d, const char *what, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    doctor_print("ok", what, format, list);
    va_end(list);
    d->seen++;
}

void doctor_warn(struct doctor *d, const char *what, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    doctor_print("warn", what, format, list);
    va_end(list);
    d->seen++;
}

void doctor_bad(struct doctor *d, const char *what, const char *advice, const char *format, ...)
{
    va_list list;
    if (d->command->interrupted) /* it was us */
        return;
    va_start(list, format);
    doctor_print("bad", what, format, list);
    va_end(list);
    if (advice)
        printf("%-5s%-13s%s\n", "", "", advice);
    d->seen++;
    d->bad++;
}

/* ---- what they do ---- */

void doctor_reset(struct doctor *d)
{
    call_clear(&d->call);
}

bool doctor_ask(struct doctor *d, const char *method, const char *query, struct slice body, long status)
{
    struct buf path = {0};
    bool ours = query[0] != '/';
    if (ours)
        buf_add_text(&path, d->path);
    buf_add(&path, query, strlen(query) + 1);
    d->call.method = method;
    d->call.token = d->token;
    d->call.body = body;
    call_make(d->command, &d->call, path.data);
    buf_clear(&path);
    d->reused |= d->call.reused && !d->call.failure;
    if (ours && body.len && !d->call.failure && d->call.status / 100 == 2)
        buf_add_slice(&d->sent, body);
    return !d->call.failure && d->call.status == status;
}

bool doctor_append(struct doctor *d)
{
    doctor_reset(d);
    call_add_header(&d->call, "Content-Type", "text/plain");
    return doctor_ask(d, "POST", "", SLICE("one more\n"), 204);
}

void doctor_tail(const struct doctor *d, char offset[OFFSET_LEN + 1])
{
    offset_print(offset, buf_len(&d->sent));
    offset[OFFSET_LEN] = '\0';
}

const char *doctor_said(struct doctor *d)
{
    cJSON *answer = document_parse(buf_slice(&d->call.text));
    const char *code = document_text(answer, "code");
    if (d->call.failure)
        snprintf(d->said, sizeof d->said, "no answer: %s", d->call.failure);
    else
        snprintf(d->said, sizeof d->said, "status %ld%s%s", d->call.status, code ? " " : "", code ? code : "");
    cJSON_Delete(answer);
    return d->said;
}

/* ---- the command ---- */

/* Slashes, spaces and percent signs have to come through as they are. */
static void doctor_choose_path(struct doctor *d, const char *project)
{
    snprintf(d->path, sizeof d->path, "/v1/stream/%s/streamd-doctor-%016llx%%2Fa%%20b%%25", project,
             (unsigned long long)random_secret());
}

static bool doctor_take_url(struct command *c, char *room, size_t size)
{
    const char *url = command_argument(c);
    size_t len = url ? strlen(url) : 0;
    while (len && url[len - 1] == '/')
        len--;
    if (!len || len >= size || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)) {
        c->wrong = c->wrong ? c->wrong : "a URL is wanted: http://HOST[:PORT] or https://HOST[:PORT]";
        return false;
    }
    memcpy(room, url, len);
    room[len] = '\0';
    c->url = room;
    return true;
}

static int doctor_examine(struct doctor *d)
{
    bool go_on = true;
    for (size_t i = 0; go_on && i < sizeof doctor_checks / sizeof doctor_checks[0] && !d->command->interrupted; i++) {
        doctor_reset(d);
        go_on = doctor_checks[i](d);
    }
    bool interrupted = d->command->interrupted;
    d->command->interrupted = false;
    if (d->made)
        (void)doctor_delete(d);
    doctor_reset(d);
    printf("\n%u checked, %u bad\n", d->seen, d->bad);
    return d->bad || interrupted;
}

int command_doctor(struct command *c)
{
    struct doctor d = {.command = c};
    char url[1024];
    const char *project = command_option(c, "--project", PROJECT_DEFAULT), *idle = command_option(c, "--idle", IDLE_S);
    bool named = doctor_take_url(c, url, sizeof url);
    uint64_t idle_s;
    if (command_misused(c) || !named)
        return 1;
    if (!project_name_valid(slice_str(project)))
        return command_fail(c, "%s: " PROJECT_NAME_RULE, project);
    if (!rules_integer(slice_str(idle), IDLE_MAX_S, &idle_s))
        return command_fail(c, "%s: --idle is a number of seconds, up to %u", idle, IDLE_MAX_S);
    if (!command_token(c, project, &d.token))
        return 1;
    d.idle_ms = idle_s * 1000;
    doctor_choose_path(&d, project);
    int status = doctor_examine(&d);
    command_token_free(d.token);
    buf_clear(&d.sent);
    return status;
}
