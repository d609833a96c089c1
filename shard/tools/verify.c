/* `streamd verify` from the top: the registry and the layout, every shard's database with its files, then what needs
 * all of them at once: which shard has which slot, and the cross-checks. Nothing here writes or ends the process on
 * damage; each problem is a line (verify_report.c).
 *
 *     verify.c -> verify_registry.c
 *              -> verify_database.c -> verify_stream.c, verify_journal.c (rules: verify_rules.c) -> verify_files.c
 *              -> verify_cross_checks.c */
#include "shard/tools/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "shard/tools/verify_context.h"
#include "shard/tools/verify_cross_checks.h"
#include "shard/tools/verify_database.h"
#include "shard/tools/verify_files.h"
#include "shard/tools/verify_registry.h"
#include "shard/tools/verify_report.h"

#define PATH_ROOM 4096

/* A move copies a slot, then says whose it is, then deletes it where it was. */
static void verify_owners(struct verify *v)
{
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        unsigned owner = v->layout.owner[slot];
        for (unsigned shard = 0; shard < LAYOUT_SHARDS_MAX; shard++) {
            if (shard == owner || !v->holds[shard][slot] || (v->moving && v->holds[owner][slot]))
                continue;
            snprintf(v->database, sizeof v->database, "shard-%u.db", shard);
            verify_problem(v, "it has streams of slot %u, which is shard %u's by the layout", slot, owner);
        }
    }
}

static bool verify_layout(struct verify *v)
{
    uint16_t target[LAYOUT_SLOTS];
    const char *why = "it is missing";
    snprintf(v->database, sizeof v->database, "layout");
    if (layout_load(v->cfg.server_data_dir, &v->layout, &why) != LAYOUT_LOADED) {
        verify_problem(v, "%s", why);
        return false;
    }
    layout_plan(&v->layout, v->layout.shards, target);
    v->moving = v->layout.moving || memcmp(target, v->layout.owner, sizeof target) != 0;
    printf("layout: %u shards%s\n", v->layout.shards,
           v->moving ? "; streams are being moved, or will be at the next start" : "");
    return true;
}

static int verify_fail(const char *why)
{
    fprintf(stderr, "streamd: verify: %s\n", why);
    return 1;
}

/* The supervisor's command sends the configuration that it has read, so that --config and --set count here as well. */
static bool verify_read_config(struct config *cfg)
{
    struct buf text = {0};
    ssize_t n;
    while ((n = read(STDIN_FILENO, buf_reserve(&text, 4096), 4096)) > 0)
        buf_grow(&text, (size_t)n);
    config_init(cfg);
    bool good = n == 0 && config_read_text(cfg, "configuration", buf_slice(&text), stderr) == 0;
    buf_clear(&text);
    return good;
}

static void verify_half_restored(struct verify *v)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/restore", v->cfg.server_data_dir);
    snprintf(v->database, sizeof v->database, "restore");
    if (access(path, F_OK) == 0)
        verify_problem(v, "a restore has begun and not ended");
}

/* A layout that cannot be read leaves the databases to be looked at one by one: only what needs to know who owns what
 * is left out. While slots move, a stream may be in two databases for good reason, so there are no cross-checks either.
 */
static void verify_all(struct verify *v)
{
    verify_half_restored(v);
    verify_registry(v);
    bool laid_out = verify_layout(v);
    verify_files_begin(v);
    for (unsigned shard = 0; shard < LAYOUT_SHARDS_MAX; shard++)
        verify_shard(v, shard);
    verify_files_end(v);
    if (laid_out)
        verify_owners(v);
    if (laid_out && !v->moving)
        verify_cross_checks(v);
    for (unsigned shard = 0; shard < LAYOUT_SHARDS_MAX; shard++)
        if (v->looks[shard])
            store_look_close(v->looks[shard]);
    layout_clear(&v->layout);
}

static bool verify_take_options(struct verify *v, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        bool quick = strcmp(argv[i], "--quick") == 0, objects = strcmp(argv[i], "--objects") == 0;
        if (!quick && !objects)
            return false;
        v->quick |= quick;
        v->objects |= objects;
    }
    return true;
}

static int verify_arguments(struct verify *v, int argc, char **argv)
{
    if (!verify_take_options(v, argc, argv))
        return verify_fail("expected --quick or --objects");
    if (!verify_read_config(&v->cfg))
        return verify_fail("it is run by `streamd verify`");
    if (access(v->cfg.server_data_dir, R_OK | X_OK) != 0)
        return verify_fail(strerror(errno));
    verify_all(v);
    verify_conclude(v);
    return v->problems ? 1 : 0;
}

int verify_main(int argc, char **argv)
{
    struct verify *v = xcalloc(1, sizeof *v);
    log_init("verify", -1);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    int status = verify_arguments(v, argc, argv);
    config_clear(&v->cfg);
    free(v);
    return status;
}
