#include "supervisor/upgrade.h"

#include "common/log.h"
#include "common/version.h"
#include "common/wire.h"

#define KILL_AFTER_MS 10000u /* a router that does not leave */

static void end(struct upgrade *upgrade)
{
    upgrade->step = UPGRADE_NONE;
}

static void fail(struct upgrade *upgrade, const struct process *process, const char *why)
{
    log_error("the upgrade ends here: %s %s; what has not been replaced works on as it is", process->name, why);
    end(upgrade);
}

static void step_to(struct upgrade *upgrade, enum upgrade_step step)
{
    upgrade->step = step;
    upgrade->number = 0;
    upgrade->begun = false;
}

static void next(struct upgrade *upgrade)
{
    upgrade->number++;
    upgrade->begun = false;
}

/* ---- routers ---- */

static void router_try(struct upgrade *upgrade, struct process *fresh, uint64_t now)
{
    fleet_deliver(fresh, CHILD_EVENT_START, now);
    upgrade->begun = true;
    upgrade->due = now + upgrade->cfg->server_hang_timeout;
}

/* A new one was started beside the one that works. True: it has taken over, or cannot. */
static bool router_started(struct upgrade *upgrade, struct process *works, struct process *fresh, uint64_t now)
{
    if (fresh->life.state == CHILD_UP) {
        upgrade->due = now + upgrade->cfg->router_handover_timeout + KILL_AFTER_MS;
        fleet_replace(works, fresh, now);
    } else if (!child_alive(&fresh->life)) {
        fail(upgrade, fresh, "does not start");
    } else if (now >= upgrade->due) {
        fleet_deliver(fresh, CHILD_EVENT_KILL, now);
        fail(upgrade, fresh, "is not ready in server.hang_timeout");
    } else {
        return false;
    }
    return true;
}

/* True: there is more to do now. */
static bool router_turn(struct upgrade *upgrade, uint64_t now)
{
    struct process *works = fleet_process(upgrade->fleet, ROLE_ROUTER, upgrade->number, false);
    struct process *other = fleet_process(upgrade->fleet, ROLE_ROUTER, upgrade->number, true);
    if (!works) {
        step_to(upgrade, UPGRADE_SHARDS);
        return true;
    }
    if (works->old && !upgrade->begun) {
        router_try(upgrade, other, now);
        return false;
    }
    if (works->old)
        return router_started(upgrade, works, other, now);
    if (!child_alive(&other->life)) {
        next(upgrade);
        return true;
    }
    /* It is the old one that leaves; or the new one, if the old one has died and come back as a new one meanwhile. */
    if (now >= upgrade->due || !other->old)
        fleet_deliver(other, CHILD_EVENT_KILL, now);
    return false;
}

/* ---- shards ---- */

static void shard_renew(struct upgrade *upgrade, struct process *shard, uint64_t now)
{
    fleet_deliver(shard, CHILD_EVENT_RENEW, now);
    upgrade->begun = true;
    upgrade->due = now + 2 * upgrade->cfg->server_hang_timeout;
}

/* Those that nobody new can talk to leave together. */
static void shards_renew_strangers(struct upgrade *upgrade, uint64_t now)
{
    struct process *shard;
    for (unsigned i = 0; (shard = fleet_process(upgrade->fleet, ROLE_SHARD, i, false)); i++)
        if (shard->old && shard->wire != WIRE_VERSION)
            shard_renew(upgrade, shard, now);
}

static bool shard_turn(struct upgrade *upgrade, uint64_t now)
{
    struct process *shard = fleet_process(upgrade->fleet, ROLE_SHARD, upgrade->number, false);
    if (!shard) {
        log_info("streamd %s has taken over, in %llu ms", STREAMD_VERSION,
                 (unsigned long long)(now - upgrade->started));
        end(upgrade);
        return false;
    }
    if (!upgrade->begun) {
        shards_renew_strangers(upgrade, now);
        shard_renew(upgrade, shard, now);
        return false;
    }
    if (!shard->old && shard->life.state == CHILD_UP) {
        next(upgrade);
        return true;
    }
    if (now >= upgrade->due)
        fail(upgrade, shard, "does not come up");
    return false;
}

/* ---- the whole ---- */

void upgrade_begin(struct upgrade *upgrade, uint64_t now)
{
    upgrade->started = now;
    step_to(upgrade, UPGRADE_ROUTERS);
}

uint64_t upgrade_turn(struct upgrade *upgrade, uint64_t now)
{
    bool more = true;
    while (more) {
        if (upgrade->step == UPGRADE_ROUTERS)
            more = router_turn(upgrade, now);
        else if (upgrade->step == UPGRADE_SHARDS)
            more = shard_turn(upgrade, now);
        else
            more = false;
    }
    return upgrade->step == UPGRADE_ROUTERS || upgrade->step == UPGRADE_SHARDS ? upgrade->due : UINT64_MAX;
}
