#include "supervisor/projects.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/project.h"
#include "common/registry.h"
#include "common/token.h"
#include "supervisor/folder.h"

#define SECRET_BYTES 32
#define SECRET_PREFIX_MIN 6 /* of a key to be removed: enough to know it, too little to use it */

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "streamd: %s: %s\n", what, why);
    return 1;
}

static struct registry *open_registry(const struct config *cfg)
{
    const char *why;
    folder_make(cfg->server_data_dir);
    struct registry *registry = registry_open(cfg->server_data_dir, &why);
    if (!registry)
        fprintf(stderr, "streamd: %s/registry.db: %s\n", cfg->server_data_dir, why);
    return registry;
}

static void add_secret(struct texts *secrets, bool first)
{
    uint8_t random[SECRET_BYTES];
    char text[2 * SECRET_BYTES + 1];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        fatal("getrandom");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(text + 2 * i, 3, "%02x", random[i]);
    texts_add(secrets, slice_str(text));
    if (first) {
        char *newest = secrets->items[secrets->count - 1];
        memmove(secrets->items + 1, secrets->items, (secrets->count - 1) * sizeof *secrets->items);
        secrets->items[0] = newest;
    }
    explicit_bzero(text, sizeof text);
    explicit_bzero(random, sizeof random);
}

/* One command on one project: `change` alters it, and what it says is written. */
typedef int change_project(struct project *project, const char *argument);

static int save(struct registry *registry, const char *name, struct project *project)
{
    return registry_put(registry, slice_str(name), project) == REGISTRY_OK ? 0 : fail(name, "cannot be written");
}

static int change(const struct config *cfg, int argc, char **argv, int wanted, const char *usage, change_project *apply)
{
    struct project project = {0};
    if (argc != wanted)
        return fail(argv[0], usage);
    struct registry *registry = open_registry(cfg);
    if (!registry)
        return 1;
    int status = 1;
    switch (registry_get(registry, slice_str(argv[1]), &project)) {
    case REGISTRY_OK:
        status = apply(&project, argv[2]);
        if (status == 0)
            status = save(registry, argv[1], &project);
        break;
    case REGISTRY_ABSENT:
        status = fail(argv[1], "there is no such project");
        break;
    case REGISTRY_FAILED:
        break;
    }
    project_clear(&project);
    registry_close(registry);
    return status;
}

int projects_create(const struct config *cfg, int argc, char **argv)
{
    struct project project = {0}, there;
    if (argc != 2)
        return fail(argv[0], "the project's name is wanted");
    if (!project_name_valid(slice_str(argv[1])))
        return fail(argv[1], PROJECT_NAME_RULE);
    struct registry *registry = open_registry(cfg);
    if (!registry)
        return 1;
    int status = 1;
    if (registry_get(registry, slice_str(argv[1]), &there) != REGISTRY_ABSENT) {
        project_clear(&there);
        status = fail(argv[1], "the project is there already");
    } else {
        add_secret(&project.secrets, true);
        status = save(registry, argv[1], &project);
        if (status == 0)
            puts(project.secrets.items[0]);
    }
    project_clear(&project);
    registry_close(registry);
    return status;
}

int projects_delete(const struct config *cfg, int argc, char **argv)
{
    if (argc != 2)
        return fail(argv[0], "the project's name is wanted");
    struct registry *registry = open_registry(cfg);
    if (!registry)
        return 1;
    enum registry_result result = registry_delete(registry, slice_str(argv[1]));
    registry_close(registry);
    if (result == REGISTRY_ABSENT)
        return fail(argv[1], "there is no such project");
    return result == REGISTRY_OK ? 0 : 1;
}

static void gather_name(void *ctx, struct slice name)
{
    texts_add(ctx, name);
}

static void print_line(struct registry *registry, const char *name)
{
    struct project project;
    if (registry_get(registry, slice_str(name), &project) != REGISTRY_OK)
        return;
    printf("%s keys=%zu origins=%zu public=%s\n", name, project.secrets.count, project.origins.count,
           project.is_public ? "true" : "false");
    project_clear(&project);
}

int projects_list(const struct config *cfg, int argc, char **argv)
{
    struct texts names = {0};
    if (argc != 1)
        return fail(argv[0], "no argument is wanted");
    struct registry *registry = open_registry(cfg);
    if (!registry)
        return 1;
    enum registry_result result = registry_names(registry, gather_name, &names);
    for (size_t i = 0; i < names.count; i++)
        print_line(registry, names.items[i]);
    texts_clear(&names);
    registry_close(registry);
    return result == REGISTRY_OK ? 0 : 1;
}

static int add_key(struct project *project, const char *ignored)
{
    (void)ignored;
    if (project->secrets.count >= PROJECT_SECRETS_MAX)
        return fail("add-key", "the project has as many keys as it may have");
    add_secret(&project->secrets, true);
    puts(project->secrets.items[0]);
    return 0;
}

static int remove_key(struct project *project, const char *prefix)
{
    const char *found = NULL;
    for (size_t i = 0; i < project->secrets.count; i++) {
        if (strncmp(project->secrets.items[i], prefix, strlen(prefix)) != 0)
            continue;
        if (found)
            return fail("remove-key", "more than one key begins so");
        found = project->secrets.items[i];
    }
    if (strlen(prefix) < SECRET_PREFIX_MIN || !found)
        return fail("remove-key", "at least the first 6 characters of one of the project's keys are wanted");
    if (project->secrets.count == 1)
        return fail("remove-key", "the last key stays: add another first");
    (void)!texts_remove(&project->secrets, slice_str(found));
    return 0;
}

static int add_origin(struct project *project, const char *origin)
{
    if (!project_origin_valid(origin))
        return fail(origin, "an origin is \"*\" or scheme://host[:port]");
    if (project->origins.count >= PROJECT_ORIGINS_MAX)
        return fail("add-origin", "the project has as many origins as it may have");
    if (!texts_have(&project->origins, slice_str(origin)))
        texts_add(&project->origins, slice_str(origin));
    return 0;
}

static int remove_origin(struct project *project, const char *origin)
{
    return texts_remove(&project->origins, slice_str(origin)) ? 0 : fail(origin, "the project does not have it");
}

int projects_add_key(const struct config *cfg, int argc, char **argv)
{
    return change(cfg, argc, argv, 2, "the project's name is wanted", add_key);
}

int projects_remove_key(const struct config *cfg, int argc, char **argv)
{
    return change(cfg, argc, argv, 3, "the project's name and the beginning of the key are wanted", remove_key);
}

int projects_add_origin(const struct config *cfg, int argc, char **argv)
{
    return change(cfg, argc, argv, 3, "the project's name and an origin are wanted", add_origin);
}

int projects_remove_origin(const struct config *cfg, int argc, char **argv)
{
    return change(cfg, argc, argv, 3, "the project's name and an origin are wanted", remove_origin);
}

/* ---- tokens ---- */

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

static bool known_options(int argc, char **argv)
{
    static const char *const names[] = {"--project", "--scope", "--stream", "--ttl"};
    if (argc % 2 == 0)
        return false;
    for (int i = 1; i < argc; i += 2) {
        bool known = false;
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++)
            known |= strcmp(argv[i], names[j]) == 0;
        if (!known)
            return false;
    }
    return true;
}

static int print_token(struct registry *registry, const char *name, struct claims *claims)
{
    struct project project;
    if (registry_get(registry, slice_str(name), &project) != REGISTRY_OK)
        return fail(name, "there is no such project");
    char *token = token_sign(project.secrets.items[0], claims);
    project_clear(&project);
    if (!token)
        return fail("token", "it cannot be signed");
    puts(token);
    free(token);
    return 0;
}

int projects_token(const struct config *cfg, int argc, char **argv)
{
    const char *project = option(argc, argv, "--project"), *scope = option(argc, argv, "--scope");
    const char *stream = option(argc, argv, "--stream"), *ttl = option(argc, argv, "--ttl");
    uint64_t ttl_ms;
    if (!known_options(argc, argv) || !project || !scope || !ttl)
        return fail(argv[0], "--project NAME --scope read|write|manage [--stream ID] --ttl TIME is wanted");
    if (scope_of(slice_str(scope)) == SCOPE_NONE)
        return fail(scope, "a scope is read, write or manage");
    if (!config_duration(ttl, &ttl_ms) || ttl_ms < 1000)
        return fail(ttl, "a time is wanted, from 1s: 90s, 15m, 1h");
    struct registry *registry = open_registry(cfg);
    if (!registry)
        return 1;
    struct claims claims = {
        .scope = scope_of(slice_str(scope)),
        .expires_s = (uint64_t)time(NULL) + ttl_ms / 1000,
        .subject = xstrdup(project),
        .stream_id = stream ? xstrdup(stream) : NULL,
    };
    int status = print_token(registry, project, &claims);
    claims_clear(&claims);
    registry_close(registry);
    return status;
}
