/* `streamd show`: prints the document of one stream, GET /v1/streams/PROJECT/STREAM. With --json the document is
 * printed as it came. Otherwise each member is a line "key: value"; an object's plain members stand in one line,
 * "key: a=1 b=2", and each element of a list inside that object gets a line of its own below, with the same key. */
#include <stdio.h>

#include "router/cli/cli.h"
#include "router/cli/cli_request.h"
#include "router/cli/commands.h"

static void cli_show_print_scalar(const cJSON *item)
{
    if (cJSON_IsString(item))
        cli_print(item->valuestring);
    else if (cJSON_IsNumber(item))
        printf("%.0f", item->valuedouble);
    else if (cJSON_IsBool(item))
        fputs(cJSON_IsTrue(item) ? "true" : "false", stdout);
    else
        fputs("none", stdout);
}

/* The plain members of an object, in one line. */
static void cli_show_print_members(const cJSON *object)
{
    const cJSON *member;
    const char *before = "";
    cJSON_ArrayForEach(member, object)
    {
        if (cJSON_IsArray(member))
            continue;
        fputs(before, stdout);
        cli_print(member->string);
        fputs("=", stdout);
        cli_show_print_scalar(member);
        before = " ";
    }
}

static void cli_show_print_line(const char *key, const cJSON *item)
{
    cli_print(key);
    fputs(": ", stdout);
    if (cJSON_IsObject(item))
        cli_show_print_members(item);
    else
        cli_show_print_scalar(item);
    puts("");
}

/* A line a key, and below it a line for each of what it lists. */
static void cli_show_print_all(const cJSON *stream)
{
    const cJSON *item, *member, *one;
    cJSON_ArrayForEach(item, stream)
    {
        cli_show_print_line(item->string, item);
        cJSON_ArrayForEach(member, item)
        {
            cJSON_ArrayForEach(one, member)
            {
                cli_show_print_line(item->string, one);
            }
        }
    }
}

static int cli_show_ask(struct cli *c, const struct cli_target *target, bool json)
{
    struct cli_request request = {0};
    struct buf path = {0};
    buf_add_slice(&path, SLICE("/v1/streams/"));
    buf_add(&path, target->path, strlen(target->path) + 1);
    cJSON *stream = cli_request_document(c, &request, target->project, path.data);
    int status = stream ? 0 : 1;
    if (stream && json) {
        cli_print_text(buf_slice(&request.text)); /* which in JSON means the same */
        puts("");
    } else if (stream) {
        cli_show_print_all(stream);
    }
    cJSON_Delete(stream);
    buf_clear(&path);
    cli_request_clear(&request);
    return status;
}

int cli_show(struct cli *c)
{
    bool json = cli_flag(c, "--json");
    const char *stream = cli_argument(c);
    struct cli_target target;
    if (cli_misused(c) || !cli_target_parse(c, stream, &target))
        return 1;
    int status = cli_show_ask(c, &target, json);
    cli_target_clear(&target);
    return status;
}
