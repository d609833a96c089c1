/* The commands about projects, keys, origins and tokens. They write registry.db; a running server reads the change
 * there, so none of them asks the server to change anything.
 *
 *     1. A command that changes a project checks its arguments and fills a `struct change` with an apply_change.
 *     2. registry_update() calls that function inside its transaction; a refusal prints why and writes nothing.
 *     3. After the commit the command prints the secret, if it made one: a secret that was printed counts.
 *     4. A warning follows if the running server uses no projects (auth.mode is not jwt).
 *
 * Failure modes: an absent project, a limit that is reached or a busy registry end with exit 1 and an unchanged
 * registry. Secrets are wiped before their memory is freed. */
#include "supervisor/cli/projects.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/project.h"
#include "common/registry.h"
#include "common/token.h"
#include "supervisor/data_dir/control_socket.h"
#include "supervisor/data_dir/data_dir.h"

#define SECRET_BYTES 32
#define SECRET_PREFIX_MIN 6 /* of a key to be removed: enough to know it, too little to use it */

static int projects_fail(const char *what, const char *why)
{
    fprintf(stderr, "streamd: %s: %s\n", what, why);
    return 1;
}

static int projects_misused(const char *command, const char *why)
{
    fprintf(stderr, "streamd: %s: %s (see streamd help %s)\n", command, why, command);
    return 1;
}

/* No project was ever made there: only create-project makes the folder and the registry. */
static bool projects_is_empty(const struct config *cfg)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/registry.db", cfg->server_data_dir);
    return access(path, F_OK) != 0 && errno == ENOENT;
}

static struct registry *projects_open_registry(const struct config *cfg, bool make)
{
    const char *why;
    if (!make && projects_is_empty(cfg)) {
        (void)projects_fail(cfg->server_data_dir, "there is no such project, nor any other");
        return NULL;
    }
    bool made = access(cfg->server_data_dir, F_OK) != 0;
    data_dir_make(cfg->server_data_dir);
    if (made)
        fprintf(stderr, "streamd: made the folder %s; no server works on it yet\n", cfg->server_data_dir);
    struct registry *registry = registry_open(cfg->server_data_dir, &why);
    if (!registry)
        fprintf(stderr, "streamd: %s/registry.db: %s\n", cfg->server_data_dir, why);
    return registry;
}

/* Puts a new secret in front: the first one signs, all of them verify. So a key can be replaced without refusing
 * tokens that are in use. */
static void projects_add_secret(struct texts *secrets)
{
    uint8_t random[SECRET_BYTES];
    char text[2 * SECRET_BYTES + 1];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        fatal("getrandom");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(text + 2 * i, 3, "%02x", random[i]);
    texts_add(secrets, slice_str(text));
    char *newest = secrets->items[secrets->count - 1];
    memmove(secrets->items + 1, secrets->items, (secrets->count - 1) * sizeof *secrets->items);
    secrets->items[0] = newest;
    explicit_bzero(text, sizeof text);
    explicit_bzero(random, sizeof random);
}

/* One command on one project. `apply` alters the project and returns the exit status; if it
 * refuses, it has printed why. */
typedef int apply_change(struct project *project, bool there, const char *name, const char *argument);

struct change {
    apply_change *apply;
    const char *name, *argument;
    bool makes; /* the registry, if there is none */
    int status;
    char *secret; /* the one that signs from now on */
};

static bool projects_apply_to(void *ctx, struct project *project, bool there)
{
    struct change *change = ctx;
    change->status = change->apply(project, there, change->name, change->argument);
    if (change->status == 0 && project->secrets.count)
        change->secret = xstrdup(project->secrets.items[0]);
    return change->status == 0;
}

static int projects_status_of(enum registry_result result, const char *name)
{
    if (result == REGISTRY_OK)
        return 0;
    if (result == REGISTRY_ABSENT)
        return projects_fail(name, "there is no such project");
    if (result == REGISTRY_BUSY)
        return projects_fail(name, "other commands have been writing for ten seconds; nothing was changed, try again");
    return 1; /* and it was said why */
}

static int projects_update(const struct config *cfg, const char *name, struct change *change)
{
    struct registry *registry = projects_open_registry(cfg, change->makes);
    if (!registry)
        return 1;
    change->name = name;
    int status = projects_status_of(registry_update(registry, slice_str(name), projects_apply_to, change), name);
    registry_close(registry);
    return status;
}

static void projects_clear(struct change *change)
{
    if (change->secret)
        explicit_bzero(change->secret, strlen(change->secret));
    free(change->secret);
}

/* Warns after a change of a project, or a new token, if the running server uses neither. */
static void projects_warn_unused(const struct config *cfg)
{
    char mode[32];
    const char *why;
    if (control_socket_get(cfg->server_data_dir, "auth", mode, sizeof mode, &why) &&
        choice_find(choice_auth_mode, slice_str(mode)) != AUTH_MODE_JWT)
        fprintf(
            stderr,
            "streamd: the server that runs on %s has auth.mode = %s; only auth.mode = jwt uses projects' keys, tokens"
            " and origins\n",
            cfg->server_data_dir, mode);
}

/* A secret is printed when it counts, and not before. */
static int projects_run(const struct config *cfg, const char *name, struct change *change, bool print)
{
    int status = projects_update(cfg, name, change);
    if (status == 0 && print)
        puts(change->secret);
    if (status == 0)
        projects_warn_unused(cfg);
    projects_clear(change);
    return status;
}

static int projects_missing(const char *name)
{
    return projects_fail(name, "there is no such project");
}

static int projects_add(struct project *project, bool there, const char *name, const char *ignored)
{
    (void)ignored;
    if (there)
        return projects_fail(name, "the project is there already");
    projects_add_secret(&project->secrets);
    return 0;
}

int projects_create(const struct config *cfg, int argc, char **argv)
{
    if (argc != 2)
        return projects_misused(argv[0], "expected the project's name");
    if (!project_name_valid(slice_str(argv[1])))
        return projects_fail(argv[1], PROJECT_NAME_RULE);
    return projects_run(cfg, argv[1], &(struct change){.apply = projects_add, .makes = true}, true);
}

int projects_delete(const struct config *cfg, int argc, char **argv)
{
    if (argc != 2)
        return projects_misused(argv[0], "expected the project's name");
    struct registry *registry = projects_open_registry(cfg, false);
    if (!registry)
        return 1;
    enum registry_result result = registry_delete(registry, slice_str(argv[1]));
    registry_close(registry);
    if (result == REGISTRY_OK)
        projects_warn_unused(cfg);
    return projects_status_of(result, argv[1]);
}

static void projects_gather_name(void *ctx, struct slice name)
{
    texts_add(ctx, name);
}

/* A project that was deleted meanwhile has no line. */
static bool projects_print_line(struct registry *registry, const char *name)
{
    struct project project;
    enum registry_result result = registry_get(registry, slice_str(name), &project);
    if (result != REGISTRY_OK)
        return result == REGISTRY_ABSENT;
    printf("%s keys=%zu origins=%zu public=%s\n", name, project.secrets.count, project.origins.count,
           project.is_public ? "true" : "false");
    project_clear(&project);
    return true;
}

int projects_list(const struct config *cfg, int argc, char **argv)
{
    struct texts names = {0};
    if (argc != 1)
        return projects_misused(argv[0], "expected no argument");
    if (projects_is_empty(cfg))
        return access(cfg->server_data_dir, F_OK) == 0 ? 0 : projects_fail(cfg->server_data_dir, strerror(errno));
    struct registry *registry = projects_open_registry(cfg, false);
    if (!registry)
        return 1;
    bool good = registry_names(registry, projects_gather_name, &names) == REGISTRY_OK;
    for (size_t i = 0; i < names.count; i++)
        good &= projects_print_line(registry, names.items[i]);
    texts_clear(&names);
    registry_close(registry);
    return good ? 0 : 1;
}

static int projects_key_add(struct project *project, bool there, const char *name, const char *ignored)
{
    (void)ignored;
    if (!there)
        return projects_missing(name);
    if (project->secrets.count >= PROJECT_SECRETS_MAX)
        return projects_fail("add-key", "the project has as many keys as it may have (16)");
    projects_add_secret(&project->secrets);
    return 0;
}

/* Finds the one secret that begins with the prefix. A whole secret matches even if it is the prefix of another. */
static const char *projects_find_secret(const struct texts *secrets, const char *prefix, const char **why)
{
    const char *found = NULL;
    bool enough = strlen(prefix) >= SECRET_PREFIX_MIN;
    *why = enough ? "no key of the project begins so" : "at least the first 6 characters of the key are wanted";
    for (size_t i = 0; i < secrets->count; i++) {
        const char *secret = secrets->items[i];
        if (strcmp(secret, prefix) == 0)
            return secret;
        if (strncmp(secret, prefix, strlen(prefix)) != 0)
            continue;
        if (found) {
            *why = "more than one key begins so";
            return NULL;
        }
        found = secret;
    }
    return enough ? found : NULL;
}

static int projects_key_remove(struct project *project, bool there, const char *name, const char *prefix)
{
    const char *why;
    if (!there)
        return projects_missing(name);
    const char *found = projects_find_secret(&project->secrets, prefix, &why);
    if (!found)
        return projects_fail(name, why);
    if (project->secrets.count == 1)
        return projects_fail(name, "the last key stays: add another first");
    (void)!texts_remove(&project->secrets, slice_str(found));
    return 0;
}

static int projects_origin_add(struct project *project, bool there, const char *name, const char *origin)
{
    if (!there)
        return projects_missing(name);
    if (!project_origin_valid(origin))
        return projects_fail(origin, "an origin is * or " ORIGIN_RULE);
    if (texts_have(&project->origins, slice_str(origin)))
        return 0;
    if (project->origins.count >= PROJECT_ORIGINS_MAX)
        return projects_fail("add-origin", "the project has as many origins as it may have (64)");
    texts_add(&project->origins, slice_str(origin));
    if (!project_origins_valid(&project->origins))
        return projects_fail(origin, "* cannot be combined with other origins: remove them first");
    return 0;
}

static int projects_origin_remove(struct project *project, bool there, const char *name, const char *origin)
{
    if (!there)
        return projects_missing(name);
    return texts_remove(&project->origins, slice_str(origin)) ? 0
                                                              : projects_fail(origin, "the project does not have it");
}

int projects_add_key(const struct config *cfg, int argc, char **argv)
{
    if (argc != 2)
        return projects_misused(argv[0], "expected the project's name");
    return projects_run(cfg, argv[1], &(struct change){.apply = projects_key_add}, true);
}

int projects_remove_key(const struct config *cfg, int argc, char **argv)
{
    if (argc != 3)
        return projects_misused(argv[0], "the project's name and the beginning of the key are wanted");
    return projects_run(cfg, argv[1], &(struct change){.apply = projects_key_remove, .argument = argv[2]}, false);
}

static int projects_change_origins(const struct config *cfg, int argc, char **argv, apply_change *how)
{
    if (argc != 3)
        return projects_misused(argv[0], "the project's name and an origin are wanted");
    return projects_run(cfg, argv[1], &(struct change){.apply = how, .argument = argv[2]}, false);
}

int projects_add_origin(const struct config *cfg, int argc, char **argv)
{
    return projects_change_origins(cfg, argc, argv, projects_origin_add);
}

int projects_remove_origin(const struct config *cfg, int argc, char **argv)
{
    return projects_change_origins(cfg, argc, argv, projects_origin_remove);
}

/* ---- tokens ---- */

/* Options are pairs of a name and a value, in any order: --project demo --scope read --ttl 15m. */
static const char *projects_option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

static bool projects_known_options(int argc, char **argv)
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

static int projects_print_token(struct registry *registry, const char *name, struct claims *claims)
{
    struct project project;
    enum registry_result result = registry_get(registry, slice_str(name), &project);
    if (result != REGISTRY_OK)
        return projects_status_of(result, name);
    char *token = token_sign(project.secrets.items[0], claims);
    project_clear(&project);
    puts(token);
    free(token);
    return 0;
}

int projects_token(const struct config *cfg, int argc, char **argv)
{
    const char *project = projects_option(argc, argv, "--project"), *scope = projects_option(argc, argv, "--scope");
    const char *stream = projects_option(argc, argv, "--stream"), *ttl = projects_option(argc, argv, "--ttl");
    uint64_t ttl_ms;
    if (!projects_known_options(argc, argv) || !project || !scope || !ttl)
        return projects_misused(argv[0], "expected --project NAME --scope read|write|manage [--stream ID] --ttl TIME");
    if (scope_of(slice_str(scope)) == SCOPE_NONE)
        return projects_fail(scope, "a scope is read, write or manage");
    if (!config_duration(ttl, &ttl_ms) || ttl_ms < 1000)
        return projects_fail(ttl, "expected a time of at least 1s, such as 90s, 15m or 1h");
    struct registry *registry = projects_open_registry(cfg, false);
    if (!registry)
        return 1;
    /* Expiry is in whole seconds (RFC 7519, 4.1.4), which is why a time below one second was refused. */
    struct claims claims = {
        .scope = scope_of(slice_str(scope)),
        .expires_s = (uint64_t)time(NULL) + ttl_ms / 1000,
        .subject = xstrdup(project),
        .stream_id = stream ? xstrdup(stream) : NULL,
    };
    int status = projects_print_token(registry, project, &claims);
    if (status == 0)
        projects_warn_unused(cfg);
    claims_clear(&claims);
    registry_close(registry);
    return status;
}
