/* A name's slot is a hash of it, or of its project and {group}:
 *
 *     p/chat            of "p/chat"
 *     p/{42}/messages   of "p/42", and so are p/{42}/index and the stream p/42 itself
 *     p/{}, p/a}, p/{b  of the whole name: there is no group in it
 *
 * A group of one project and the same text in another are two groups. */
#include "common/layout.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define HASH_START 0xcbf29ce484222325u

/* FNV-1a. */
static uint64_t layout_hash_more(uint64_t hash, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.data[i]) * 0x100000001b3u;
    return hash;
}

uint64_t layout_hash_bytes(const char *data, size_t len)
{
    return layout_hash_more(HASH_START, slice_of(data, len));
}

/* FNV-1a leaves its high bits poorly mixed for short names; this spreads every bit over all. */
static uint64_t layout_mix(uint64_t hash)
{
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
    return hash ^ (hash >> 33);
}

uint64_t layout_hash(struct slice name)
{
    return layout_mix(layout_hash_more(HASH_START, name));
}

struct slice layout_group(struct slice name)
{
    const char *end = slice_end(name), *at = name.len ? memchr(name.data, '/', name.len) : NULL;
    const char *open = at ? memchr(at, '{', (size_t)(end - at)) : NULL;
    const char *close = open ? memchr(open, '}', (size_t)(end - open)) : NULL;
    return close ? slice_of(open + 1, (size_t)(close - open - 1)) : (struct slice){0};
}

static int layout_compare_hashes(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return (first > second) - (first < second);
}

static bool layout_keeps(const struct layout *layout, struct slice name)
{
    const uint64_t hash = layout_hash(name);
    return layout->kept_count &&
           bsearch(&hash, layout->kept, layout->kept_count, sizeof hash, layout_compare_hashes) != NULL;
}

unsigned layout_slot_of_whole(struct slice name)
{
    return (unsigned)(layout_hash(name) % LAYOUT_SLOTS);
}

unsigned layout_slot_of_group(struct slice name)
{
    struct slice group = layout_group(name);
    if (!group.len)
        return layout_slot_of_whole(name);
    size_t project = (size_t)((const char *)memchr(name.data, '/', name.len) - name.data) + 1;
    uint64_t hash = layout_hash_more(HASH_START, slice_of(name.data, project));
    return (unsigned)(layout_mix(layout_hash_more(hash, group)) % LAYOUT_SLOTS);
}

unsigned layout_slot(const struct layout *layout, struct slice name)
{
    bool whole = !layout->groups || !layout_group(name).len || layout_keeps(layout, name);
    return whole ? layout_slot_of_whole(name) : layout_slot_of_group(name);
}

void layout_keep(struct layout *layout, const uint64_t *hashes, size_t count)
{
    layout_clear(layout);
    layout->groups = true;
    if (!count)
        return;
    layout->kept = xmalloc(count * sizeof *hashes);
    memcpy(layout->kept, hashes, count * sizeof *hashes);
    qsort(layout->kept, count, sizeof *hashes, layout_compare_hashes);
    for (size_t i = 0; i < count; i++) /* two streams may have one hash */
        if (!layout->kept_count || layout->kept[layout->kept_count - 1] != layout->kept[i])
            layout->kept[layout->kept_count++] = layout->kept[i];
}

void layout_clear(struct layout *layout)
{
    free(layout->kept);
    layout->kept = NULL;
    layout->kept_count = 0;
}

void layout_init(struct layout *layout, unsigned shards)
{
    *layout = (struct layout){.shards = shards, .groups = true};
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++)
        layout->owner[slot] = (uint16_t)(slot % shards);
}

/* How many slots each shard should end with. Of those that get one more, the ones that have more already come first. */
static void layout_plan_quotas(const struct layout *layout, unsigned shards, unsigned quota[LAYOUT_SHARDS_MAX])
{
    unsigned has[LAYOUT_SHARDS_MAX] = {0};
    unsigned base = LAYOUT_SLOTS / shards, extra = LAYOUT_SLOTS % shards;
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++)
        has[layout->owner[slot]]++;
    for (unsigned i = 0; i < shards; i++)
        quota[i] = base;
    for (unsigned i = 0; i < shards && extra; i++)
        if (has[i] > base) {
            quota[i]++;
            extra--;
        }
    for (unsigned i = 0; i < shards && extra; i++)
        if (quota[i] == base) {
            quota[i]++;
            extra--;
        }
}

/* Moves as few slots as possible. The first pass keeps every slot whose owner stays and still has room under its quota;
 * the second gives the others to the shards whose quotas are not used up. Two plans of the same layout are equal, so a
 * move that was interrupted goes on where it was. */
void layout_plan(const struct layout *layout, unsigned shards, uint16_t target[LAYOUT_SLOTS])
{
    unsigned quota[LAYOUT_SHARDS_MAX];
    bool moves[LAYOUT_SLOTS];
    unsigned next = 0;
    layout_plan_quotas(layout, shards, quota);
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        unsigned owner = layout->owner[slot];
        moves[slot] = owner >= shards || quota[owner] == 0;
        if (moves[slot])
            continue;
        quota[owner]--;
        target[slot] = (uint16_t)owner;
    }
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        if (!moves[slot])
            continue;
        while (quota[next] == 0)
            next++; /* the quotas add up to LAYOUT_SLOTS, so one is left for every slot */
        quota[next]--;
        target[slot] = (uint16_t)next;
    }
}

bool layout_must_move(const struct layout *layout, unsigned shards)
{
    uint16_t target[LAYOUT_SLOTS];
    layout_plan(layout, shards, target);
    return layout->moving || layout->shards != shards || memcmp(target, layout->owner, sizeof target) != 0;
}
