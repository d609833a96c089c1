/* A verdict is a line: ok, warn or bad, the check's name, what was found; after a bad one, what to change. `seen`
 * and `bad` count them. An interruption makes requests fail that would not have failed, so then nothing is bad.
 *
 * doctor_ask() is the one way to the stream. A query that begins with "/" is a whole path of its own. A body that
 * the server took (2xx) is added to `sent`, so that later checks know the stream's bytes and its tail, which is
 * their number. */
#include "router/cli/doctor_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/document.h"

/* ---- what the checks say ---- */

PRINTF(3, 0) static void doctor_check_print(const char *mark, const char *what, const char *format, va_list list)
{
    printf("%-5s%-13s", mark, what);
    cli_vprint(stdout, format, list);
    puts("");
    fflush(stdout);
}

void doctor_good(struct doctor *d, const char *what, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    doctor_check_print("ok", what, format, list);
    va_end(list);
    d->seen++;
}

void doctor_warn(struct doctor *d, const char *what, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    doctor_check_print("warn", what, format, list);
    va_end(list);
    d->seen++;
}

void doctor_bad(struct doctor *d, const char *what, const char *advice, const char *format, ...)
{
    va_list list;
    if (d->cli->interrupted) /* it was us */
        return;
    va_start(list, format);
    doctor_check_print("bad", what, format, list);
    va_end(list);
    if (advice)
        printf("%-5s%-13s%s\n", "", "", advice);
    d->seen++;
    d->bad++;
}

/* ---- what they do ---- */

void doctor_reset(struct doctor *d)
{
    cli_request_clear(&d->request);
}

bool doctor_ask(struct doctor *d, const char *method, const char *query, struct slice body, long status)
{
    struct buf path = {0};
    bool ours = query[0] != '/';
    if (ours)
        buf_add_text(&path, d->path);
    buf_add(&path, query, strlen(query) + 1);
    d->request.method = method;
    d->request.token = d->token;
    d->request.body = body;
    cli_request_make(d->cli, &d->request, path.data);
    buf_clear(&path);
    d->reused |= d->request.reused && !d->request.failure;
    /* Only a body that the server acknowledged is part of the stream; doctor_producer() takes its repeated one out
     * again. */
    if (ours && body.len && !d->request.failure && d->request.status / 100 == 2)
        buf_add_slice(&d->sent, body);
    return !d->request.failure && d->request.status == status;
}

bool doctor_append(struct doctor *d)
{
    doctor_reset(d);
    cli_request_add_header(&d->request, "Content-Type", "text/plain");
    return doctor_ask(d, "POST", "", SLICE("one more\n"), 204);
}

void doctor_tail(const struct doctor *d, char offset[OFFSET_LEN + 1])
{
    offset_print(offset, (struct offset){d->life, buf_len(&d->sent)});
    offset[OFFSET_LEN] = '\0';
}

const char *doctor_said(struct doctor *d)
{
    cJSON *answer = document_parse(buf_slice(&d->request.text));
    const char *code = document_text(answer, "code");
    if (d->request.failure)
        snprintf(d->said, sizeof d->said, "no answer: %s", d->request.failure);
    else
        snprintf(d->said, sizeof d->said, "status %ld%s%s", d->request.status, code ? " " : "", code ? code : "");
    cJSON_Delete(answer);
    return d->said;
}
