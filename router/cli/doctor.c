/* `streamd doctor URL`: runs the checks one after the other on a stream of its own, deletes the stream, and counts
 * what is bad. The first checks decide whether there is any point in going on.
 *
 *     ok   health       http://127.0.0.1:4437 answers
 *     bad  body         an append of 1114112 bytes: status 413
 *                       nginx: client_max_body_size, at least streamd's limits.max_body
 *     ...
 *     17 checked, 1 bad
 *
 * Failure modes: a ^C stops the checks, but the stream is still deleted; if that fails, its TTL of ten minutes
 * removes it. The exit status is 1 if anything was bad, or on a ^C. */
#include "router/cli/doctor.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/document.h"
#include "common/offset.h"
#include "common/project.h"
#include "common/random.h"
#include "router/cli/commands.h"
#include "router/http/integer.h"

#define IDLE_S "20"
#define IDLE_MAX_S 3600u

/* The order counts: a check may use what an earlier one has made or found. */
static doctor_check *const doctor_checks[] = {
    doctor_health, doctor_create,      doctor_producer,   doctor_head,  doctor_body,
    doctor_bytes,  doctor_etag,        doctor_conditions, doctor_stale, doctor_last,
    doctor_cache,  doctor_connections, doctor_events,     doctor_poll,  doctor_idle,
};

/* Slashes, spaces and percent signs have to come through as they are. */
static void doctor_choose_path(struct doctor *d, const char *project)
{
    snprintf(d->path, sizeof d->path, "/v1/stream/%s/streamd-doctor-%016llx%%2Fa%%20b%%25", project,
             (unsigned long long)random_secret());
}

static bool doctor_take_url(struct cli *c, char *room, size_t size)
{
    const char *url = cli_argument(c);
    size_t len = url ? strlen(url) : 0;
    while (len && url[len - 1] == '/')
        len--;
    if (!len || len >= size || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)) {
        c->wrong = c->wrong ? c->wrong : "expected a URL: http://HOST[:PORT] or https://HOST[:PORT]";
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
    for (size_t i = 0; go_on && i < sizeof doctor_checks / sizeof doctor_checks[0] && !d->cli->interrupted; i++) {
        doctor_reset(d);
        go_on = doctor_checks[i](d);
    }
    bool interrupted = d->cli->interrupted;
    /* Otherwise the request that deletes the stream would not wait for its answer. */
    d->cli->interrupted = false;
    if (d->made)
        (void)doctor_delete(d);
    doctor_reset(d);
    printf("\n%u checked, %u bad\n", d->seen, d->bad);
    return d->bad || interrupted;
}

int cli_doctor(struct cli *c)
{
    struct doctor d = {.cli = c};
    char url[1024];
    const char *project = cli_option(c, "--project", PROJECT_DEFAULT), *idle = cli_option(c, "--idle", IDLE_S);
    bool named = doctor_take_url(c, url, sizeof url);
    uint64_t idle_s;
    if (cli_misused(c) || !named)
        return 1;
    if (!project_name_valid(slice_str(project)))
        return cli_fail(c, "%s: " PROJECT_NAME_RULE, project);
    if (!integer_valid(slice_str(idle), IDLE_MAX_S, &idle_s))
        return cli_fail(c, "%s: --idle is a number of seconds, up to %u", idle, IDLE_MAX_S);
    if (!cli_token(c, project, &d.token))
        return 1;
    d.idle_ms = idle_s * 1000;
    doctor_choose_path(&d, project);
    int status = doctor_examine(&d);
    cli_token_free(d.token);
    buf_clear(&d.sent);
    return status;
}
