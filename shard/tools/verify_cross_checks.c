/* What ties the databases together. Each is of a moment of its own, so what does not fit is looked at again: whoever
 * lets go has let go of it before the other side does. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shard/tools/verify.h"

struct bonds {
    struct verify *v;
    unsigned shard;
    bool forks; /* or subscriptions */
    struct buf suspects;
};

/* The other side is there; or that cannot be said. */
static bool verify_cross_checks_is_held(const struct bonds *bonds, const struct store_bond *bond)
{
    const struct verify *v = bonds->v;
    unsigned slot = layout_slot_of_uid(bond->source_uid);
    struct store_look *source = slot < LAYOUT_SLOTS ? v->looks[v->layout.owner[slot]] : NULL;
    if (!source)
        return slot < LAYOUT_SLOTS;
    return bonds->forks ? store_look_pin_there(source, bond)
                        : store_look_feed_there(source, bond->source_uid, bonds->shard);
}

static void verify_cross_checks_note(void *ctx, const struct store_bond *bond)
{
    struct bonds *bonds = ctx;
    if (!verify_cross_checks_is_held(bonds, bond))
        buf_add(&bonds->suspects, bond, sizeof *bond);
}

static void verify_cross_checks_judge(struct bonds *bonds, const struct store_bond *bond)
{
    struct verify *v = bonds->v;
    struct store_look *look = v->looks[bonds->shard];
    struct stream_row row;
    bool still = bonds->forks ? store_look_fork_there(look, bond) : store_look_subscription_there(look, bond);
    if (!still)
        return;
    v->uid = bond->uid;
    if (store_look_stream_at(look, bond->uid, &row))
        v->name = row.name;
    verify_problem(v,
                   bonds->forks ? "its source, %016" PRIx64 ", is not pinned for it"
                                : "its source, %016" PRIx64 ", has no feed for it",
                   bond->source_uid);
    v->name = (struct slice){0};
    v->uid = 0;
    store_look_release(look);
}

static void verify_cross_checks_verify_kind(struct verify *v, unsigned shard, bool forks)
{
    struct bonds bonds = {.v = v, .shard = shard, .forks = forks};
    struct store_look *look = v->looks[shard];
    struct store_bond bond;
    snprintf(v->database, sizeof v->database, "shard-%u.db", shard);
    if (!(forks ? store_look_forks(look, verify_cross_checks_note, &bonds)
                : store_look_subscriptions(look, verify_cross_checks_note, &bonds)))
        verify_problem(v, "it cannot be read: %s", store_look_error(look));
    for (; buf_len(&bonds.suspects); buf_consume(&bonds.suspects, sizeof bond)) {
        memcpy(&bond, buf_slice(&bonds.suspects).data, sizeof bond);
        verify_cross_checks_judge(&bonds, &bond);
    }
    buf_clear(&bonds.suspects);
}

void verify_bonds(struct verify *v)
{
    for (unsigned shard = 0; shard < LAYOUT_SHARDS_MAX; shard++)
        for (int forks = 0; v->looks[shard] && forks < 2; forks++)
            verify_cross_checks_verify_kind(v, shard, forks);
}
