#include "router/cli/cli_request.h"

#include "router/cli/cli.h"

#define ANSWER_MAX ((size_t)256 << 20)

static void cli_request_on_header(void *ctx, struct slice name, struct slice value)
{
    struct call *call = ctx;
    for (size_t i = 0; i < name.len; i++)
        buf_add_byte(&call->said,
                     (uint8_t)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] | 32 : name.data[i]));
    buf_add_byte(&call->said, 0);
    buf_add_slice(&call->said, value);
    buf_add_byte(&call->said, 0);
}

static void cli_request_on_done(void *ctx, const struct http_client_answer *answer)
{
    struct call *call = ctx;
    call->done = true;
    call->under_way = NULL;
    call->failure = answer->failure;
    call->status = answer->status;
    call->reused = answer->reused;
    buf_add_slice(&call->text, answer->body);
}

static bool cli_request_on_piece(void *ctx, struct slice piece)
{
    struct call *call = ctx;
    return call->piece(call->ctx, piece);
}

static void cli_request_add_line(struct buf *headers, const char *name, const char *value)
{
    buf_add_text(headers, name);
    buf_add_slice(headers, SLICE(": "));
    buf_add_text(headers, value);
    buf_add_byte(headers, 0);
}

void call_add_header(struct call *call, const char *name, const char *value)
{
    cli_request_add_line(&call->headers, name, value);
}

static void cli_request_authorize(struct call *call)
{
    struct buf value = {0};
    buf_add_slice(&value, SLICE("Bearer "));
    buf_add_text(&value, call->token);
    buf_add_byte(&value, 0);
    cli_request_add_line(&call->headers, "Authorization", value.data);
    buf_wipe(&value);
}

void call_start(struct command *c, struct call *call, const char *path)
{
    struct buf url = {0};
    buf_add_text(&url, c->url);
    buf_add_text(&url, path);
    buf_add_byte(&url, 0);
    if (call->token)
        cli_request_authorize(call);
    call->under_way = http_client_send(&c->http_client, &(struct http_client_request){
                                                            .url = url.data,
                                                            .timeout_ms = call->timeout_ms,
                                                            .most = ANSWER_MAX,
                                                            .headers = call->headers,
                                                            .method = call->method,
                                                            .body = call->body,
                                                            .ca_file = c->ca_file,
                                                            .header = cli_request_on_header,
                                                            .piece = call->piece ? cli_request_on_piece : NULL,
                                                            .done = cli_request_on_done,
                                                            .ctx = call,
                                                        });
    call->headers = (struct buf){0};
    buf_clear(&url);
}

void call_wait(struct command *c, struct call *call)
{
    while (!call->done && !c->interrupted)
        command_turn(c, COMMAND_TIMEOUT_MS);
}

void call_make(struct command *c, struct call *call, const char *path)
{
    if (!call->timeout_ms)
        call->timeout_ms = COMMAND_TIMEOUT_MS;
    call_start(c, call, path);
    call_wait(c, call);
}

cJSON *call_document(struct command *c, struct call *call, const char *project, const char *path)
{
    char *token;
    if (!command_token(c, project, &token))
        return NULL;
    call->token = token;
    call_make(c, call, path);
    call->token = NULL;
    command_token_free(token);
    cJSON *document = call->status == 200 ? document_parse(buf_slice(&call->text)) : NULL;
    if (!document && !c->interrupted)
        call_fail(c, call);
    return document;
}

void call_clear(struct call *call)
{
    if (call->under_way)
        http_client_cancel(call->under_way);
    buf_clear(&call->headers);
    buf_clear(&call->said);
    buf_clear(&call->text);
    *call = (struct call){0};
}

struct slice call_header(const struct call *call, const char *name)
{
    struct slice rest = buf_slice(&call->said);
    while (rest.len) {
        struct slice found = slice_str(rest.data), value = slice_str(rest.data + found.len + 1);
        if (slice_equal(found, slice_str(name)))
            return value;
        rest = slice_of(value.data + value.len + 1, rest.len - found.len - value.len - 2);
    }
    return (struct slice){0};
}

bool call_says(const struct call *call, const char *name, const char *value)
{
    return slice_equal(call_header(call, name), slice_str(value));
}

int call_fail(const struct command *c, const struct call *call)
{
    if (call->failure)
        return command_fail(c, "%s: %s", c->url, call->failure);
    cJSON *answer = document_parse(buf_slice(&call->text));
    const char *code = document_text(answer, "code");
    const char *error = document_text(answer, "error");
    if (code && error)
        command_fail(c, "%ld %s: %s", call->status, code, error);
    else
        command_fail(c, "%s: status %ld, and not as streamd answers", c->url, call->status);
    cJSON_Delete(answer);
    return 1;
}
