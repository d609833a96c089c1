/* Cross-checks. Every database is looked at in a moment of its own, while a server may write all of them. So a
 * reference whose other side is missing is only a suspect; in a second pass it is a problem if the reference is still
 * there. That is sound because the side that refers is always the first to go: a fork before its pin, a subscription
 * before its feed. */
#include "shard/tools/verify_cross_checks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shard/store/store_look_cross.h"
#include "shard/store/store_look_rows.h"
#include "shard/store/store_stream.h"
#include "common/buf.h"
#include "shard/tools/verify_context.h"
#include "shard/tools/verify_report.h"
#include "shard/store/store_look.h"

struct cross_checks {
    struct verify *v;
    unsigned shard;      /* whose references these are */
    bool forks;          /* or subscriptions */
    struct buf suspects; /* struct cross_reference */
};

/* True if the other side is there, or if that cannot be said. */
static bool verify_cross_checks_is_held(const struct cross_checks *checks, const struct cross_reference *reference)
{
    const struct verify *v = checks->v;
    unsigned slot = layout_slot_of_uid(reference->source_uid);
    struct store_look *source = slot < LAYOUT_SLOTS ? v->looks[v->layout.owner[slot]] : NULL;
    if (!source)
        return slot < LAYOUT_SLOTS;
    return checks->forks ? store_look_pin_there(source, reference)
                         : store_look_feed_there(source, reference->source_uid, checks->shard);
}

static void verify_cross_checks_note(void *ctx, const struct cross_reference *reference)
{
    struct cross_checks *checks = ctx;
    if (!verify_cross_checks_is_held(checks, reference))
        buf_add(&checks->suspects, reference, sizeof *reference);
}

static void verify_cross_checks_judge(struct cross_checks *checks, const struct cross_reference *reference)
{
    struct verify *v = checks->v;
    struct store_look *look = v->looks[checks->shard];
    struct stream_row row;
    bool still =
        checks->forks ? store_look_fork_there(look, reference) : store_look_subscription_there(look, reference);
    if (!still)
        return;
    v->uid = reference->uid;
    if (store_look_stream_at(look, reference->uid, &row))
        v->name = row.name;
    verify_problem(v,
                   checks->forks ? "its source, %016" PRIx64 ", is not pinned for it"
                                 : "its source, %016" PRIx64 ", has no feed for it",
                   reference->source_uid);
    v->name = (struct slice){0};
    v->uid = 0;
    store_look_release(look);
}

static void verify_cross_checks_kind(struct verify *v, unsigned shard, bool forks)
{
    struct cross_checks checks = {.v = v, .shard = shard, .forks = forks};
    struct store_look *look = v->looks[shard];
    struct cross_reference reference;
    snprintf(v->database, sizeof v->database, "shard-%u.db", shard);
    if (!(forks ? store_look_forks(look, verify_cross_checks_note, &checks)
                : store_look_subscriptions(look, verify_cross_checks_note, &checks)))
        verify_problem(v, "it cannot be read: %s", store_look_error(look));
    for (; buf_len(&checks.suspects); buf_consume(&checks.suspects, sizeof reference)) {
        memcpy(&reference, buf_slice(&checks.suspects).data, sizeof reference);
        verify_cross_checks_judge(&checks, &reference);
    }
    buf_clear(&checks.suspects);
}

void verify_cross_checks(struct verify *v)
{
    for (unsigned shard = 0; shard < LAYOUT_SHARDS_MAX; shard++)
        for (int forks = 0; v->looks[shard] && forks < 2; forks++)
            verify_cross_checks_kind(v, shard, forks);
}
