/* One request of a command, through common/http_client.h: cli_request_start() sends it, cli_request_wait() turns the
 * loop until it is done, cli_request_make() does both within a time limit.
 *
 * The answer's headers are kept as "name\0value\0...", names in lower case, so that a look-up is a walk over one
 * buffer:
 *
 *     etag\0"..."\0stream-up-to-date\0true\0
 *
 * Failure modes: `failure` is libcurl's text if there was no whole answer; otherwise `status` holds.
 * cli_request_fail() prints either, with streamd's code and text if the body is one of ours. A request that is
 * cleared under way is cancelled, so its callbacks never see freed memory. */
#include "router/cli/cli_request.h"

#include "router/cli/cli.h"

#define ANSWER_MAX ((size_t)256 << 20)

static void cli_request_on_header(void *ctx, struct slice name, struct slice value)
{
    struct cli_request *request = ctx;
    for (size_t i = 0; i < name.len; i++)
        buf_add_byte(&request->said,
                     (uint8_t)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] | 32 : name.data[i]));
    buf_add_byte(&request->said, 0);
    buf_add_slice(&request->said, value);
    buf_add_byte(&request->said, 0);
}

static void cli_request_on_done(void *ctx, const struct http_client_answer *answer)
{
    struct cli_request *request = ctx;
    request->done = true;
    request->under_way = NULL;
    request->failure = answer->failure;
    request->status = answer->status;
    request->reused = answer->reused;
    buf_add_slice(&request->text, answer->body);
}

static bool cli_request_on_piece(void *ctx, struct slice piece)
{
    struct cli_request *request = ctx;
    return request->piece(request->ctx, piece);
}

static void cli_request_add_line(struct buf *headers, const char *name, const char *value)
{
    buf_add_text(headers, name);
    buf_add_slice(headers, SLICE(": "));
    buf_add_text(headers, value);
    buf_add_byte(headers, 0);
}

void cli_request_add_header(struct cli_request *request, const char *name, const char *value)
{
    cli_request_add_line(&request->headers, name, value);
}

static void cli_request_authorize(struct cli_request *request)
{
    struct buf value = {0};
    buf_add_slice(&value, SLICE("Bearer "));
    buf_add_text(&value, request->token);
    buf_add_byte(&value, 0);
    cli_request_add_line(&request->headers, "Authorization", value.data);
    buf_wipe(&value);
}

void cli_request_start(struct cli *c, struct cli_request *request, const char *path)
{
    struct buf url = {0};
    buf_add_text(&url, c->url);
    buf_add_text(&url, path);
    buf_add_byte(&url, 0);
    if (request->token)
        cli_request_authorize(request);
    request->under_way = http_client_send(&c->http_client, &(struct http_client_request){
                                                               .url = url.data,
                                                               .timeout_ms = request->timeout_ms,
                                                               .most = ANSWER_MAX,
                                                               .headers = request->headers,
                                                               .method = request->method,
                                                               .body = request->body,
                                                               .ca_file = c->ca_file,
                                                               .header = cli_request_on_header,
                                                               .piece = request->piece ? cli_request_on_piece : NULL,
                                                               .done = cli_request_on_done,
                                                               .ctx = request,
                                                           });
    /* http_client_send() took the buffer over, and wipes it: it may hold a token. */
    request->headers = (struct buf){0};
    buf_clear(&url);
}

void cli_request_wait(struct cli *c, struct cli_request *request)
{
    while (!request->done && !c->interrupted)
        cli_turn(c, CLI_TIMEOUT_MS);
}

void cli_request_make(struct cli *c, struct cli_request *request, const char *path)
{
    if (!request->timeout_ms)
        request->timeout_ms = CLI_TIMEOUT_MS;
    cli_request_start(c, request, path);
    cli_request_wait(c, request);
}

cJSON *cli_request_document(struct cli *c, struct cli_request *request, const char *project, const char *path)
{
    char *token;
    if (!cli_token(c, project, &token))
        return NULL;
    request->token = token;
    cli_request_make(c, request, path);
    request->token = NULL;
    cli_token_free(token);
    cJSON *document = request->status == 200 ? document_parse(buf_slice(&request->text)) : NULL;
    if (!document && !c->interrupted)
        cli_request_fail(c, request);
    return document;
}

void cli_request_clear(struct cli_request *request)
{
    if (request->under_way)
        http_client_cancel(request->under_way);
    buf_clear(&request->headers);
    buf_clear(&request->said);
    buf_clear(&request->text);
    *request = (struct cli_request){0};
}

struct slice cli_request_header(const struct cli_request *request, const char *name)
{
    struct slice rest = buf_slice(&request->said);
    while (rest.len) {
        struct slice found = slice_str(rest.data), value = slice_str(rest.data + found.len + 1);
        if (slice_equal(found, slice_str(name)))
            return value;
        rest = slice_of(value.data + value.len + 1, rest.len - found.len - value.len - 2);
    }
    return (struct slice){0};
}

bool cli_request_says(const struct cli_request *request, const char *name, const char *value)
{
    return slice_equal(cli_request_header(request, name), slice_str(value));
}

int cli_request_fail(const struct cli *c, const struct cli_request *request)
{
    if (request->failure)
        return cli_fail(c, "%s: %s", c->url, request->failure);
    cJSON *answer = document_parse(buf_slice(&request->text));
    const char *code = document_text(answer, "code");
    const char *error = document_text(answer, "error");
    if (code && error)
        cli_fail(c, "%ld %s: %s", request->status, code, error);
    else
        cli_fail(c, "%s: status %ld, and not as streamd answers", c->url, request->status);
    cJSON_Delete(answer);
    return 1;
}
