/* `streamd streams`: the streams of a project, or of all, a line each: name, content type, tail, bytes and flags,
 * with tabs between them.
 *
 *     GET /v1/streams/PROJECT?limit=N&prefix=P&after=A  -> {"streams": [...], "next": "A2"}  -> after=A2 ... no "next"
 *
 * Pages are printed as they come, so memory does not grow with the number of streams. A token is for one project;
 * without --project the command therefore asks for each project of the registry in turn (cli_streams_ask_each()),
 * or, without a folder, asks once for all.
 *
 * Failure modes: the first request that fails ends the command with exit 1; lines that were printed stay. */
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/percent.h"
#include "common/project.h"
#include "common/registry.h"
#include "router/cli/cli.h"
#include "router/cli/cli_request.h"
#include "router/cli/commands.h"
#include "router/handlers/listing.h"
#include "router/http/integer.h"

struct asking {
    const char *project; /* NULL: all of them */
    struct slice prefix; /* of the streams' names; this and `after` as they go into a query */
    struct buf after;
    uint64_t left; /* streams to be printed still */
    bool found;    /* a stream was printed */
};

static const char *cli_streams_text_of(const cJSON *object, const char *name)
{
    const char *text = document_text(object, name);
    return text ? text : "";
}

static void cli_streams_print_flags(const cJSON *stream)
{
    static const char *const flags[] = {"closed", "public", "estuary", "fork"};
    const char *before = "\t";
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(stream, flags[i]))) {
            printf("%s%s", before, flags[i]);
            before = ",";
        }
    puts("");
}

static void cli_streams_print_stream(const char *project, const cJSON *stream)
{
    static const char *const columns[] = {"name", "contentType", "nextOffset"};
    if (project)
        printf("%s/", project);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        cli_print(cli_streams_text_of(stream, columns[i]));
        fputs("\t", stdout);
    }
    printf("%.0f", cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(stream, "bytes")));
    cli_streams_print_flags(stream);
}

/* Prints a page. False: it was the last one. */
static bool cli_streams_print_page(struct asking *asking, const cJSON *page)
{
    const cJSON *stream, *next = cJSON_GetObjectItemCaseSensitive(page, "next");
    cJSON_ArrayForEach(stream, cJSON_GetObjectItemCaseSensitive(page, "streams"))
    {
        cli_streams_print_stream(asking->project, stream);
        asking->left -= asking->left > 0;
        asking->found = true;
    }
    buf_reset(&asking->after);
    if (!cJSON_IsString(next))
        return false;
    buf_add_text(&asking->after, next->valuestring);
    return asking->left > 0;
}

static void cli_streams_add_path(struct buf *path, const struct asking *asking)
{
    char limit[32];
    unsigned most = asking->left < LISTING_LIMIT_MAX ? (unsigned)asking->left : LISTING_LIMIT_MAX;
    snprintf(limit, sizeof limit, "?limit=%u", most);
    buf_add_text(path, asking->project ? "/v1/streams/" : "/v1/streams");
    buf_add_text(path, asking->project ? asking->project : "");
    buf_add_text(path, limit);
    if (asking->prefix.len) {
        buf_add_slice(path, SLICE("&prefix="));
        buf_add_slice(path, asking->prefix);
    }
    if (buf_len(&asking->after)) {
        buf_add_slice(path, SLICE("&after="));
        buf_add_slice(path, buf_slice(&asking->after));
    }
    buf_add_byte(path, 0);
}

/* The exit status, and in *more whether there is another page. */
static int cli_streams_ask(struct cli *c, struct asking *asking, bool *more)
{
    struct cli_request request = {0};
    struct buf path = {0};
    cli_streams_add_path(&path, asking);
    cJSON *page = cli_request_document(c, &request, asking->project, path.data);
    int status = page ? 0 : 1;
    *more = page && cli_streams_print_page(asking, page);
    cli_flush(c);
    cJSON_Delete(page);
    buf_clear(&path);
    cli_request_clear(&request);
    return c->interrupted ? 1 : status;
}

/* Every page. */
static int cli_streams_ask_all(struct cli *c, struct asking *asking)
{
    bool more = true;
    int status = 0;
    buf_reset(&asking->after);
    while (more && status == 0)
        status = cli_streams_ask(c, asking, &more);
    return status;
}

/* A prefix of "PROJECT/STREAM" becomes one of the streams of this project. False: none of them begins so. */
static bool cli_streams_cut_prefix(struct asking *asking, struct slice whole, const char *project)
{
    size_t len = strlen(project);
    bool inside = whole.len > len && slice_begins(whole, slice_str(project)) && whole.data[len] == '/';
    asking->project = project;
    asking->prefix = inside ? slice_of(whole.data + len + 1, whole.len - len - 1) : (struct slice){0};
    return inside || slice_begins(slice_str(project), whole);
}

static void cli_streams_gather(void *names, struct slice name)
{
    texts_add(names, name);
}

/* A token is for one project, so each project in the registry is asked about with a token of its own. */
static int cli_streams_ask_each(struct cli *c, struct asking *asking)
{
    struct texts names = {0};
    struct slice whole = asking->prefix;
    const char *why;
    struct registry *registry = registry_open(c->data_dir, &why);
    if (!registry)
        return cli_fail(c, "%s/registry.db: %s", c->data_dir, why);
    int status = registry_names(registry, cli_streams_gather, &names) == REGISTRY_OK ? 0 : 1;
    registry_close(registry);
    for (size_t i = 0; i < names.count && status == 0 && asking->left > 0; i++)
        if (cli_streams_cut_prefix(asking, whole, names.items[i]))
            status = cli_streams_ask_all(c, asking);
    texts_clear(&names);
    return status;
}

int cli_streams(struct cli *c)
{
    struct asking asking = {.project = cli_option(c, "--project", NULL), .left = UINT64_MAX};
    struct buf encoded = {0};
    const char *prefix = cli_option(c, "--prefix", ""), *limit = cli_option(c, "--limit", NULL);
    if (cli_misused(c))
        return 1;
    if (asking.project && !project_name_valid(slice_str(asking.project)))
        return cli_fail(c, "%s: " PROJECT_NAME_RULE, asking.project);
    if (limit && (!integer_valid(slice_str(limit), INTEGER_MAX, &asking.left) || !asking.left))
        return cli_fail(c, "%s: --limit is a number from 1", limit);
    percent_encode_rest(slice_str(prefix), &encoded);
    asking.prefix = buf_slice(&encoded);
    bool each = !asking.project && *c->data_dir;
    int status = each ? cli_streams_ask_each(c, &asking) : cli_streams_ask_all(c, &asking);
    if (status != 0 && !each && !asking.project && getenv("STREAMD_TOKEN"))
        cli_say(c, "a token is for one project; --project names it");
    if (status == 0 && asking.project && !each && !asking.found && !*prefix)
        cli_say(c, "%s: the project has no streams", asking.project);
    buf_clear(&encoded);
    buf_clear(&asking.after);
    return status;
}
