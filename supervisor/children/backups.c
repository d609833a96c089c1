/* A backup is of one moment for all shards: no shard's part may have an append that another shard's part lacks.
 *
 *     BEGIN ──► every shard copies its database ........................... NEAR: nearly everything is copied
 *     HOLD  ──► every shard takes nothing more, and finishes its copy ..... HELD
 *     GO_ON ──► every shard works on, and puts its copy into the store .... PUT, with the names of its files
 *     SEAL  ──► the first shard writes the list of all files .............. SEALED: from now on the backup counts
 *
 * Happy path: each step is sent to all shards, and the next one when all have reported it. The moment is between the
 * last HELD and the first GO_ON.
 *
 * Failure modes:
 *   - A shard reports FAILED or dies, or the server stops or is upgraded: the backup has failed, and all shards get
 * FAILED.
 *   - Not all shards hold in HOLD_MS: failed. A shard holds no longer by itself, so appends go on soon either way.
 *   - It fails after SEAL was sent: it may be sealed, and the shards know that it may (`may_count`).
 *   - There is a newer backup, because the clock was ahead: the next one gets a higher number, and is made soon. */
#include "supervisor/children/backups.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/children/children.h"

#define HOLD_MS 1500          /* less than a shard waits */
#define FIRST_AFTER_MS 60000u /* the start, if the interval is longer */
#define AGAIN_AFTER_MS 5000   /* a backup that was not the newest */
#define ALL UINT_MAX

static void backups_on_report(void *ctx, unsigned shard, enum backup_step step, struct slice text)
{
    backups_on_step(ctx, shard, step, text);
}

static void backups_on_shard_death(void *ctx)
{
    backups_give_up(ctx, "a shard died");
}

void backups_init(struct backups *backups, struct children *children, const struct config *cfg, uint64_t now)
{
    uint64_t first = cfg->backup_interval < FIRST_AFTER_MS ? cfg->backup_interval : FIRST_AFTER_MS;
    *backups = (struct backups){.children = children, .cfg = cfg, .hold_until = UINT64_MAX, .next = now + first};
    children->hooks = (struct children_hooks){backups_on_report, backups_on_shard_death, backups};
}

void backups_clear(struct backups *backups)
{
    buf_clear(&backups->files);
}

static void backups_send(struct backups *backups, unsigned shard, enum backup_step step, struct slice text)
{
    children_send_backup(backups->children, shard, step, text);
}

/* Counts the shards that report this step from here on. */
static void backups_await(struct backups *backups, enum backup_step step)
{
    backups->awaited = step;
    backups->done_count = 0;
    memset(backups->done, 0, sizeof backups->done);
    backups->hold_until = step == BACKUP_HELD ? clock_monotonic_ms() + HOLD_MS : UINT64_MAX;
}

static void backups_end(struct backups *backups, bool good, const char *text)
{
    struct metrics *metrics = backups->children->stats.own;
    metrics_add(metrics, METRIC_BACKUPS + (good ? METRIC_BACKUP_COMPLETE : METRIC_BACKUP_FAILED), 1);
    if (good)
        metrics_set(metrics, METRIC_BACKUP_LAST, clock_unix_ms());
    backups->running = false;
    if (backups->another) {
        backups->another = false;
        text = backups_begin(backups);
        good = false;
    }
    if (!backups->running && backups->ended)
        backups->ended(backups->ctx, good, text);
}

static void backups_fail(struct backups *backups, const char *why)
{
    backups->hold_until = UINT64_MAX;
    log_error("backup %" PRIu64 " failed: %s", backups->id, why);
    backups_send(backups, ALL, BACKUP_FAILED, backups->may_count ? SLICE("it may be sealed") : SLICE(""));
    backups_end(backups, false, why);
}

const char *backups_begin(struct backups *backups)
{
    char text[24];
    if (backups->running) {
        backups->another = true;
        return NULL;
    }
    if (backups->cfg->segment_store != SEGMENT_STORE_S3)
        return "backups need segment.store = s3";
    if (!children_all_in(backups->children, ROLE_SHARD, CHILD_UP))
        return "not all shards are up";
    backups->id = clock_unix_ms();
    if (backups->id <= backups->newest)
        backups->id = backups->newest + 1; /* the clock was ahead */
    backups->newest = backups->id;
    backups->running = true;
    backups->may_count = false;
    backups->shards = (unsigned)backups->cfg->shard_count;
    buf_reset(&backups->files);
    backups_await(backups, BACKUP_NEAR);
    int len = snprintf(text, sizeof text, "%" PRIu64, backups->id);
    backups_send(backups, ALL, BACKUP_BEGIN, slice_of(text, (size_t)len));
    return NULL;
}

/* All shards have reported the step: asks for the next one. */
static void backups_go_on(struct backups *backups, struct slice text)
{
    char id[24];
    switch (backups->awaited) {
    case BACKUP_NEAR:
        backups_await(backups, BACKUP_HELD);
        backups_send(backups, ALL, BACKUP_HOLD, SLICE(""));
        break;
    case BACKUP_HELD:
        backups_await(backups, BACKUP_PUT);
        backups_send(backups, ALL, BACKUP_GO_ON, SLICE(""));
        break;
    case BACKUP_PUT:
        backups->may_count = true;
        backups_await(backups, BACKUP_SEALED);
        backups_send(backups, 0, BACKUP_SEAL, buf_slice(&backups->files));
        break;
    default: /* BACKUP_SEALED */
        backups_send(backups, ALL, BACKUP_SEALED, text);
        snprintf(id, sizeof id, "%" PRIu64, backups->id);
        log_info("backup %s is complete", id);
        backups_end(backups, true, id);
        break;
    }
}

/* A shard has a backup that is newer than this one. The next is newer still, and is made soon. */
static void backups_note_newest(struct backups *backups, struct slice text)
{
    char digits[24];
    if (!slice_begins(text, SLICE(BACKUP_NEWER)))
        return;
    snprintf(digits, sizeof digits, "%.*s", (int)(text.len - strlen(BACKUP_NEWER)), text.data + strlen(BACKUP_NEWER));
    uint64_t newest = strtoull(digits, NULL, 10);
    if (newest > backups->newest)
        backups->newest = newest;
    backups->next = clock_monotonic_ms() + AGAIN_AFTER_MS;
}

void backups_on_step(struct backups *backups, unsigned shard, enum backup_step step, struct slice text)
{
    char why[256];
    if (!backups->running || shard >= backups->shards)
        return;
    if (step == BACKUP_FAILED) {
        snprintf(why, sizeof why, "shard %u: %.*s", shard, (int)text.len, text.data ? text.data : "");
        backups_note_newest(backups, text);
        backups_fail(backups, why);
        return;
    }
    if (step != backups->awaited || backups->done[shard])
        return;
    backups->done[shard] = true;
    if (step == BACKUP_PUT) {
        buf_add_slice(&backups->files, buf_len(&backups->files) ? SLICE(",") : SLICE(""));
        buf_add_slice(&backups->files, text);
    }
    if (++backups->done_count == (step == BACKUP_SEALED ? 1 : backups->shards))
        backups_go_on(backups, text);
}

void backups_give_up(struct backups *backups, const char *why)
{
    if (backups->running)
        backups_fail(backups, why);
}

uint64_t backups_expire(struct backups *backups, uint64_t now)
{
    bool away = backups->cfg->segment_store == SEGMENT_STORE_S3;
    uint64_t interval = away ? backups->cfg->backup_interval : 0;
    metrics_set(backups->children->stats.own, METRIC_BACKUP_INTERVAL, interval);
    if (now >= backups->hold_until)
        backups_fail(backups, "the shards did not hold still in time");
    if (!interval)
        return backups->hold_until;
    if (backups->next > now + interval) /* it was made shorter */
        backups->next = now + interval;
    if (now >= backups->next) {
        const char *why = backups_begin(backups);
        backups->next = now + interval;
        if (why)
            log_warn("no backup now: %s", why);
    }
    return backups->next < backups->hold_until ? backups->next : backups->hold_until;
}
