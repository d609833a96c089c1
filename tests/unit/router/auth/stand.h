/* A router that has a configuration, a registry and a clock, and nothing else: what auth and quotas need. */
#ifndef TESTS_UNIT_ROUTER_AUTH_STAND_H
#define TESTS_UNIT_ROUTER_AUTH_STAND_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/registry.h"
#include "router/conn/connection.h"
#include "router/router.h"

struct stand {
    char dir[64];
    struct config cfg;
    struct router router;
    struct connection connection; /* of a client that is gone: it has no address */
    unsigned rechecks;
};

static inline struct stand *stand_of(struct router *router)
{
    return (struct stand *)(void *)((char *)router - offsetof(struct stand, router));
}

static void stand_recheck(struct router *router)
{
    stand_of(router)->rechecks++;
}

static bool stand_replace(void *json, struct project *project, bool there)
{
    struct project fresh;
    (void)there;
    assert_true(project_parse(slice_str(json), true, &fresh, NULL));
    project_clear(project);
    *project = fresh;
    return true;
}

/* As another process would: the router has to notice. */
static inline void stand_project(struct stand *s, const char *name, const char *json)
{
    const char *why;
    struct registry *registry = registry_open(s->dir, &why);
    assert_non_null(registry);
    assert_int_equal(registry_update(registry, slice_str(name), stand_replace, (void *)(uintptr_t)json), REGISTRY_OK);
    registry_close(registry);
}

static inline void stand_set(struct stand *s, const char *assignment)
{
    assert_int_equal(config_set(&s->cfg, assignment, stderr), 0);
}

static int stand_setup(void **state)
{
    struct stand *s = xcalloc(1, sizeof *s);
    char assignment[100];
    snprintf(s->dir, sizeof s->dir, "/tmp/streamd-unit-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    config_init(&s->cfg);
    snprintf(assignment, sizeof assignment, "server.data_dir=%s", s->dir);
    stand_set(s, assignment);
    stand_set(s, "auth.mode=jwt");
    s->router.cfg = &s->cfg;
    s->router.now_ms = 1000;
    s->connection.router = &s->router;
    s->connection.socket.fd = -1;
    s->connection.request.router = &s->router;
    s->connection.request.connection = &s->connection;
    stand_project(s, "other", "{\"signingSecrets\":[\"ffffffffffffffffffffffffffffffff\"]}");
    auth_init(&s->router.auth, &s->router, stand_recheck);
    *state = s;
    return 0;
}

static int stand_teardown(void **state)
{
    static const char *const names[] = {"registry.db", "registry.db-wal", "registry.db-shm", "layout"};
    struct stand *s = *state;
    char path[128];
    struct auth *auth = &s->router.auth;
    projects_forget(&auth->projects);
    registry_close(auth->projects.registry);
    free(auth->projects.places);
    token_cache_free(&auth->tokens);
    free(auth->wrong.places);
    key_sources_clear(&auth->sources);
    config_clear(&s->cfg);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", s->dir, names[i]);
        unlink(path);
    }
    rmdir(s->dir);
    free(s);
    return 0;
}

#endif
