#include "supervisor/upgrade.h"

#include "common/log.h"
#include "common/version.h"
#include "common/wire.h"

#define KILL_AFTER_MS 10000u /* a router that does not leave */

static void upgrade_step_to(struct upgrade *upgrade, enum upgrade_step step)
{
    upgrade->step = step;
    upgrade->number = 0;
    upgrade->begun = false;
}

static void upgrade_fail(struct upgrade *upgrade, const struct process *process, const char *why)
{
    log_error("the upgrade ends here: %s %s; what has not been replaced works on as it is", process->name, why);
    upgrade->failed = true;
    upgrade_step_to(upgrade, UPGRADE_LAST);
}

static void upgrade_next(struct upgrade *upgrade)
{
    upgrade->number++;
    upgrade->begun = false;
}

/* It speaks frames of another version than we. */
static bool upgrade_is_stranger(const struct process *process)
{
    return process->old && process->wire != WIRE_VERSION;
}

/* ---- routers ---- */

/* Whether all that have been replaced have left. */
static bool upgrade_old_ones_left(struct upgrade *upgrade)
{
    struct process *spare;
    for (unsigned i = 0; (spare = fleet_process(upgrade->fleet, ROLE_ROUTER, i, true)); i++)
        if (child_alive(&spare->life))
            return false;
    return true;
}

static void upgrade_kill_old_ones(struct upgrade *upgrade, uint64_t now)
{
    struct process *spare;
    for (unsigned i = 0; (spare = fleet_process(upgrade->fleet, ROLE_ROUTER, i, true)); i++)
        fleet_deliver(spare, CHILD_EVENT_KILL, now);
    upgrade->left = UINT64_MAX;
}

static void upgrade_router_try(struct upgrade *upgrade, struct process *fresh, uint64_t now)
{
    fleet_deliver(fresh, CHILD_EVENT_START, now);
    upgrade->begun = true;
    upgrade->due = now + upgrade->cfg->server_hang_timeout;
}

/* A new one was started beside the one that works. True: it has taken over, or cannot. */
static bool upgrade_router_started(struct upgrade *upgrade, struct process *works, struct process *fresh, uint64_t now)
{
    if (fresh->life.state == CHILD_UP) {
        upgrade->left = now + upgrade->cfg->router_handover_timeout + KILL_AFTER_MS;
        if (upgrade_is_stranger(works) && !upgrade->apart)
            upgrade->apart = now;
        fleet_replace(works, fresh, now);
    } else if (!child_alive(&fresh->life)) {
        upgrade_fail(upgrade, fresh, "does not start");
    } else if (now >= upgrade->due) {
        fleet_deliver(fresh, CHILD_EVENT_KILL, now);
        upgrade_fail(upgrade, fresh, "is not ready in server.hang_timeout");
    } else {
        return false;
    }
    return true;
}

/* All are new, and old ones leave: no new shard is told of them, so they come first. But where new ones reach no shard,
 * they wait no longer than half of what their requests can. */
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
    struct process *works = fleet_process(upgrade->fleet, ROLE_ROUTER, upgrade->number, false);
    struct process *other = fleet_process(upgrade->fleet, ROLE_ROUTER, upgrade->number, true);
    if (!works)
        return upgrade_routers_replaced(upgrade, now);
    if (works->old && !upgrade->begun) {
        upgrade_router_try(upgrade, other, now);
        return false;
    }
    if (works->old)
        return upgrade_router_started(upgrade, works, other, now);
    if (child_alive(&other->life) && !other->old) /* the old one has died and come back as a new one meanwhile */
        fleet_deliver(other, CHILD_EVENT_KILL, now);
    upgrade_next(upgrade);
    return true;
}

/* ---- shards ---- */

static void upgrade_shard_renew(struct upgrade *upgrade, struct process *shard, uint64_t now)
{
    if (shard->old)
        fleet_deliver(shard, CHILD_EVENT_RENEW, now);
    upgrade->begun = true;
    upgrade->due = now + 2 * upgrade->cfg->server_hang_timeout;
}

/* Those that nobody new can talk to leave together. */
static void upgrade_shards_renew_strangers(struct upgrade *upgrade, uint64_t now)
{
    struct process *shard;
    for (unsigned i = 0; (shard = fleet_process(upgrade->fleet, ROLE_SHARD, i, false)); i++)
        if (upgrade_is_stranger(shard))
            upgrade_shard_renew(upgrade, shard, now);
}

static bool upgrade_shard_turn(struct upgrade *upgrade, uint64_t now)
{
    struct process *shard = fleet_process(upgrade->fleet, ROLE_SHARD, upgrade->number, false);
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

uint64_t upgrade_turn(struct upgrade *upgrade, uint64_t now)
{
    bool more = true;
    while (more) {
        if (upgrade->step == UPGRADE_ROUTERS)
            more = upgrade_router_turn(upgrade, now);
        else if (upgrade->step == UPGRADE_SHARDS)
            more = upgrade_shard_turn(upgrade, now);
        else if (upgrade->step == UPGRADE_LAST)
            more = upgrade_last_turn(upgrade, now);
        else
            more = false;
    }
    return upgrade_under_way(upgrade) ? upgrade->due : UINT64_MAX;
}
