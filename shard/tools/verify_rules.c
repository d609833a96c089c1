/* Rules of a row or an extent by itself. Every reader relies on them without checking: a page is cut at boundaries, a
 * position is searched in order, JSON is sent as it is stored.
 *
 *     row       base <= offloaded <= flushed, earliest <= offloaded; base is 0 unless it is a fork, and the lineage
 *               ends at base
 *     extent    the lengths of its messages add up to its data; `count` is its bytes, or its messages if it is JSON
 *     segment   end - start is its bytes or messages; the file says what the row says
 *
 * A function returns why a rule is broken, as a text that follows a name ("its lineage is damaged"), or NULL. */
#include "shard/tools/verify_rules.h"

#include "common/boundaries.h"
#include "common/json.h"
#include "common/layout.h"
#include "common/lives.h"
#include "shard/streams/lineage.h"
#include "shard/store/extent.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_stream.h"
#include "shard/store/store.h"

#define POSITION_MAX ((uint64_t)INT64_MAX)

/* Where the stream's own bytes begin: behind what it has inherited, and behind what retention has dropped. */
uint64_t verify_first(const struct stream_row *row)
{
    return row->earliest > row->base ? row->earliest : row->base;
}

static const char *verify_rules_check_lineage(const struct stream_row *row)
{
    struct lineage lineage;
    uint64_t end = 0;
    const char *why = NULL;
    if (!lineage_decode(row->lineage, &lineage))
        return "its lineage is damaged";
    for (size_t i = 0; i < lineage.count && !why; end = lineage.ancestors[i++].end)
        if (lineage.ancestors[i].end <= end || layout_slot_of_uid(lineage.ancestors[i].uid) >= LAYOUT_SLOTS)
            why = "its lineage is damaged";
    if (!why && end != row->base)
        why = "its lineage does not end where its own bytes begin";
    lineage_clear(&lineage);
    return why;
}

const char *verify_row(const struct layout *layout, const struct stream_row *row)
{
    if (row->state > STREAM_DELETING)
        return "its state is unknown";
    if (!row->name.len || !row->content_type.len)
        return "it has no name, or no content type";
    if (layout_slot_of_uid(row->uid) >= LAYOUT_SLOTS || layout_slot(layout, row->name) != layout_slot_of_uid(row->uid))
        return "its number is not of its name's slot";
    if (row->flushed > POSITION_MAX || row->base > row->offloaded || row->offloaded > row->flushed ||
        row->earliest > row->offloaded)
        return "its positions are not in order";
    if (row->source_uid == STORE_NONE && row->base)
        return "its own bytes begin late, and it is no fork";
    if (!lives_valid(row->lives))
        return "its lives are damaged";
    return verify_rules_check_lineage(row);
}

/* A message as it is stored: JSON, then a comma. */
static bool verify_rules_is_json(struct slice message, struct buf *data, struct buf *boundaries)
{
    uint64_t count;
    buf_reset(data);
    buf_reset(boundaries);
    return message.data[message.len - 1] == ',' &&
           json_messages(slice_of(message.data, message.len - 1), data, boundaries, &count, NULL);
}

struct walk {
    struct buf data, boundaries;
    uint64_t position, at, messages;
};

static const char *verify_rules_walk_message(struct walk *walk, const struct extent *extent, uint64_t length, bool json,
                                             uint64_t from, struct verify_sum *sum)
{
    if (!length || length > extent->data.len - walk->at)
        return "its boundaries go beyond its data";
    if (json &&
        !verify_rules_is_json(slice_part(extent->data, walk->at, (size_t)length), &walk->data, &walk->boundaries))
        return "a message is not JSON";
    if (walk->position >= from) {
        sum->bytes += length;
        sum->messages++;
    }
    walk->position += json ? 1 : length;
    walk->at += length;
    return NULL;
}

const char *verify_extent(const struct extent *extent, bool json, uint64_t from, struct verify_sum *sum)
{
    struct walk walk = {.position = extent->start};
    struct slice boundaries = extent->boundaries;
    const char *why = NULL;
    uint64_t length;
    bool last;
    if (!boundaries.len && extent->data.len)
        why = verify_rules_walk_message(&walk, extent, extent->data.len, json, from, sum);
    while (!why && boundaries.len)
        why = boundaries_next(&boundaries, &length, &last)
                  ? verify_rules_walk_message(&walk, extent, length, json, from, sum)
                  : "its boundaries are damaged";
    if (!why && walk.at != extent->data.len)
        why = "its boundaries end before its data";
    if (!why && walk.position != extent->start + extent->count)
        why = "it does not hold as many positions as it says";
    buf_clear(&walk.data);
    buf_clear(&walk.boundaries);
    return why;
}

const char *verify_segment_row(const struct segment_row *row, bool json)
{
    uint64_t positions = row->end - row->object.start;
    if (row->end > POSITION_MAX || row->end <= row->object.start)
        return "it holds nothing";
    if (positions != (json ? row->messages : row->bytes) || !row->messages)
        return "it does not hold as many positions as it says";
    return NULL;
}

static bool verify_rules_is_of_row(const struct segment *s, const struct segment_row *row, bool json)
{
    return s->uid == row->object.uid && s->start == row->object.start && s->end == row->end && s->json == json &&
           s->messages == row->messages && s->bytes == row->bytes;
}

const char *verify_segment_file(const struct segment_row *row, bool json, struct slice file)
{
    struct segment segment;
    uint64_t need;
    const char *why = NULL;
    if (file.len != row->size)
        return "its file has another size";
    if (!segment_parse(&segment, file, file.len, &need))
        return "its file is no segment, or its beginning is damaged";
    /* segment_check() comes last, because it reads the whole file. */
    if (segment.checksum != row->checksum)
        why = "its file has another checksum";
    else if (!verify_rules_is_of_row(&segment, row, json))
        why = "its file is of another segment";
    else if (!segment_check(file))
        why = "its file is damaged";
    segment_clear(&segment);
    return why;
}
