/* An upgrade replaces the programs of a running server. No request is lost, no connection is closed.
 *
 *     old program:   NONE ──► ASKED ──► CHECKED ──► exec of the new program, in the same process
 *                     ▲         │          │                      │
 *                     └─────────┴──────────┘ cancelled            ▼
 *     new program:   NONE ◄── LAST ◄── SHARDS ◄── ROUTERS ◄── takes over the children (handoff.h)
 *
 * Happy path:
 *   ASKED    A process checks the new programs (programs.h) once all children are up.
 *   CHECKED  The supervisor writes a handoff and executes the new program. Its pid, children and sockets stay.
 *   ROUTERS  For each router: a new one starts in the router's other slot, gets the listening socket, and takes the
 *            clients over (router/handover.c). When all are replaced, the old ones have time to leave.
 *   SHARDS   Each in turn answers what it was asked, leaves, and is started again. Requests wait in the routers.
 *   LAST     Old routers that are still there must leave, or are killed.
 *
 * Failure modes:
 *   - The programs do not run, are of different versions, know older data only, or refuse the configuration; or a child
 *     is not up in CHECK_MS: the upgrade is refused, and nothing has changed.
 *   - The exec fails: upgrade_cancel(), and the old program goes on.
 *   - A new router does not start or is not READY in server.hang_timeout, or a shard does not come up in twice that:
 *     the upgrade ends there. What is replaced is new, everything else works on as it is.
 *   - An old router does not leave in router.handover_timeout: it is killed, and its last clients reconnect.
 *   - Old and new programs have different frames (WIRE_VERSION): new routers reach no shard until all shards are new.
 *     Then no client may hold the upgrade up: the old shards leave together after half of router.shard_wait, while
 *     requests in new routers may still wait for them; requests in old routers are answered 503.
 *
 * If both programs are of one version, an upgrade is a restart that clients do not notice. */
#include "supervisor/upgrade/upgrade.h"

#include "common/config.h"
#include "common/log.h"
#include "common/version.h"
#include "common/wire.h"
#include "supervisor/children/children.h"

#define CHECK_MS 60000u      /* of ASKED: the programs are checked, and all children are up, in this time */
#define KILL_AFTER_MS 10000u /* a router that does not leave */

void upgrade_init(struct upgrade *upgrade, struct children *children, const struct config *cfg, char **argv)
{
    *upgrade = (struct upgrade){.children = children, .cfg = cfg};
    programs_init(&upgrade->programs, argv);
}

void upgrade_clear(struct upgrade *upgrade)
{
    programs_clear(&upgrade->programs);
}

bool upgrade_wanted(const struct upgrade *upgrade)
{
    return programs_replaced(&upgrade->programs);
}

/* ---- in the old program ---- */

void upgrade_ask(struct upgrade *upgrade, uint64_t now)
{
    log_info("upgrade requested: checking the programs in %s", upgrade->programs.folder);
    upgrade->step = UPGRADE_ASKED;
    upgrade->due = now + CHECK_MS;
}

void upgrade_cancel(struct upgrade *upgrade)
{
    programs_give_up(&upgrade->programs);
    upgrade->step = UPGRADE_NONE;
}

static void upgrade_refuse(struct upgrade *upgrade)
{
    log_error("the upgrade is refused; nothing has changed");
    upgrade_cancel(upgrade);
}

/* A process that has died comes up again first; then the programs are checked, or checked again: no handoff leaves a
 * child that is not UP. */
static void upgrade_asked_turn(struct upgrade *upgrade, uint64_t now)
{
    enum programs_verdict verdict = programs_verdict(&upgrade->programs);
    bool quiet = children_quiet(upgrade->children);
    if (verdict == PROGRAMS_GOOD && quiet) {
        upgrade->step = UPGRADE_CHECKED;
    } else if (verdict == PROGRAMS_BAD) {
        upgrade_refuse(upgrade);
    } else if (now >= upgrade->due) {
        log_error("%s in %u s", quiet ? "the check did not end" : "not all processes were up", CHECK_MS / 1000);
        upgrade_refuse(upgrade);
    } else if (quiet && !upgrade->programs.checker) {
        programs_check(&upgrade->programs);
    }
}

/* ---- in the new program ---- */

static void upgrade_step_to(struct upgrade *upgrade, enum upgrade_step step)
{
    upgrade->step = step;
    upgrade->number = 0;
    upgrade->begun = false;
}

static void upgrade_fail(struct upgrade *upgrade, const struct process *process, const char *why)
{
    log_error("the upgrade ends here: %s %s; the other processes work on", process->name, why);
    upgrade->failed = true;
    upgrade_step_to(upgrade, UPGRADE_LAST);
}

static void upgrade_next(struct upgrade *upgrade)
{
    upgrade->number++;
    upgrade->begun = false;
}

/* The process's frames are of another version than ours. */
static bool upgrade_is_stranger(const struct process *process)
{
    return process->old && process->wire != WIRE_VERSION;
}

/* ---- routers ---- */

/* Whether all routers that have been replaced have left. */
static bool upgrade_old_ones_left(struct upgrade *upgrade)
{
    struct process *spare;
    for (unsigned i = 0; (spare = children_find(upgrade->children, ROLE_ROUTER, i, true)); i++)
        if (child_alive(&spare->life))
            return false;
    return true;
}

static void upgrade_kill_old_ones(struct upgrade *upgrade, uint64_t now)
{
    struct process *spare;
    for (unsigned i = 0; (spare = children_find(upgrade->children, ROLE_ROUTER, i, true)); i++)
        children_deliver(spare, CHILD_EVENT_KILL, now);
    upgrade->left = UINT64_MAX;
}

static void upgrade_router_try(struct upgrade *upgrade, struct process *fresh, uint64_t now)
{
    children_deliver(fresh, CHILD_EVENT_START, now);
    upgrade->begun = true;
    upgrade->due = now + upgrade->cfg->server_hang_timeout;
}

/* A new router was started beside the one that works. True: it has taken over, or cannot. */
static bool upgrade_router_started(struct upgrade *upgrade, struct process *works, struct process *fresh, uint64_t now)
{
    if (fresh->life.state == CHILD_UP) {
        upgrade->left = now + upgrade->cfg->router_handover_timeout + KILL_AFTER_MS;
        if (upgrade_is_stranger(works) && !upgrade->apart)
            upgrade->apart = now;
        children_replace(works, fresh, now);
    } else if (!child_alive(&fresh->life)) {
        upgrade_fail(upgrade, fresh, "does not start");
    } else if (now >= upgrade->due) {
        children_deliver(fresh, CHILD_EVENT_KILL, now);
        upgrade_fail(upgrade, fresh, "is not ready in server.hang_timeout");
    } else {
        return false;
    }
    return true;
}

/* All routers are new, and old ones leave. A new shard is connected with no old router, so the old ones should be gone
 * before shards are replaced. But where new routers reach no shard, they wait for at most half of the time that their
 * requests have. */
static bool upgrade_routers_replaced(struct upgrade *upgrade, uint64_t now)
{
    upgrade->due = upgrade->apart ? upgrade->apart + upgrade->cfg->router_shard_wait / 2 : upgrade->left;
    if (!upgrade_old_ones_left(upgrade) && now < upgrade->due)
        return false;
    if (now >= upgrade->left)
        upgrade_kill_old_ones(upgrade, now);
    upgrade_step_to(upgrade, UPGRADE_SHARDS);
    return true;
}

/* True: there is more to do now. */
static bool upgrade_router_turn(struct upgrade *upgrade, uint64_t now)
{
    struct process *works = children_find(upgrade->children, ROLE_ROUTER, upgrade->number, false);
    struct process *other = children_find(upgrade->children, ROLE_ROUTER, upgrade->number, true);
    if (!works)
        return upgrade_routers_replaced(upgrade, now);
    if (works->old && !upgrade->begun) {
        upgrade_router_try(upgrade, other, now);
        return false;
    }
    if (works->old)
        return upgrade_router_started(upgrade, works, other, now);
    if (child_alive(&other->life) && !other->old) /* the old one has died, and its successor is a new one already */
        children_deliver(other, CHILD_EVENT_KILL, now);
    upgrade_next(upgrade);
    return true;
}

/* ---- shards ---- */

static void upgrade_shard_renew(struct upgrade *upgrade, struct process *shard, uint64_t now)
{
    if (shard->old)
        children_deliver(shard, CHILD_EVENT_RENEW, now);
    upgrade->begun = true;
    upgrade->due = now + 2 * upgrade->cfg->server_hang_timeout;
}

/* Shards that no new process can talk to leave together. */
static void upgrade_shards_renew_strangers(struct upgrade *upgrade, uint64_t now)
{
    struct process *shard;
    for (unsigned i = 0; (shard = children_find(upgrade->children, ROLE_SHARD, i, false)); i++)
        if (upgrade_is_stranger(shard))
            upgrade_shard_renew(upgrade, shard, now);
}

static bool upgrade_shard_turn(struct upgrade *upgrade, uint64_t now)
{
    struct process *shard = children_find(upgrade->children, ROLE_SHARD, upgrade->number, false);
    if (!shard) {
        upgrade_step_to(upgrade, UPGRADE_LAST);
        return true;
    }
    if (!upgrade->begun) {
        upgrade_shards_renew_strangers(upgrade, now);
        upgrade_shard_renew(upgrade, shard, now);
        return false;
    }
    if (!shard->old && shard->life.state == CHILD_UP) {
        upgrade_next(upgrade);
        return true;
    }
    if (now >= upgrade->due)
        upgrade_fail(upgrade, shard, "does not come up");
    return false;
}

/* ---- the whole ---- */

static bool upgrade_last_turn(struct upgrade *upgrade, uint64_t now)
{
    if (now >= upgrade->left)
        upgrade_kill_old_ones(upgrade, now);
    upgrade->due = upgrade->left;
    if (!upgrade_old_ones_left(upgrade))
        return false;
    if (!upgrade->failed)
        log_info("streamd %s has taken over, in %llu ms", STREAMD_VERSION,
                 (unsigned long long)(now - upgrade->started));
    upgrade->step = UPGRADE_NONE;
    return false;
}

void upgrade_begin(struct upgrade *upgrade, uint64_t now)
{
    upgrade->started = now;
    upgrade_step_to(upgrade, UPGRADE_ROUTERS);
}

/* True: there is more to do now. */
static bool upgrade_go_on(struct upgrade *upgrade, uint64_t now)
{
    switch (upgrade->step) {
    case UPGRADE_ASKED:
        upgrade_asked_turn(upgrade, now);
        return false;
    case UPGRADE_ROUTERS:
        return upgrade_router_turn(upgrade, now);
    case UPGRADE_SHARDS:
        return upgrade_shard_turn(upgrade, now);
    case UPGRADE_LAST:
        return upgrade_last_turn(upgrade, now);
    case UPGRADE_NONE:
    case UPGRADE_CHECKED:
        break;
    }
    return false;
}

uint64_t upgrade_turn(struct upgrade *upgrade, uint64_t now)
{
    while (upgrade_go_on(upgrade, now))
        ;
    return upgrade_under_way(upgrade) ? upgrade->due : UINT64_MAX;
}
