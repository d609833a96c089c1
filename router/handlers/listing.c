/* A page is merged from the shards' answers; names are ordered by their bytes.
 *
 *     shard 0:  a/1     a/4     a/9, more behind a/9  --> rows 1 4 9, until a/9
 *     shard 1:      a/2     a/5                       --> rows 1 2 4 5 9, until a/9
 *     page:     {"streams":[...],"next":"9"}          and the client asks again with after=9
 *
 * Happy path: each answer is merged into `rows`, a run of LISTED_STREAM frames. A shard that has more sets `until`: no
 * name behind it may be shown, because this shard may have an earlier one that it did not send. Later shards are asked
 * up to `until` only. When `limit` rows are reached, `until` moves to the last of them.
 *
 * Failure modes: A row that does not parse makes listing_take() return false, and the page is given up. A page can be
 * short or empty and still have a `next`: a shard looks at a bounded number of streams, and hides expired ones. */
#include "router/handlers/listing.h"

#include <stdlib.h>

#include "common/lives.h"
#include "common/mem.h"
#include "common/offset.h"
#include "common/percent.h"
#include "common/project.h"
#include "router/handlers/rules.h"
#include "router/http/integer.h"
#include "router/http/query.h"

/* ---- what is asked ---- */

/* Decodes a query's value and adds it to a name, behind the project that is there already. */
static enum error listing_add_value(struct buf *name, const char *parameter, struct slice value, struct detail *detail)
{
    size_t len = 0;
    if (!value.len)
        return ERR_NONE;
    if (!percent_decode(value, buf_reserve(name, value.len), &len))
        return detail_say(detail, ERR_INVALID_QUERY_PARAM,
                          "query parameter %s has a broken percent-encoding or a control character: %s", parameter,
                          detail_quote(value).text);
    buf_grow(name, len);
    return ERR_NONE;
}

static enum error listing_understand_limit(struct listing *listing, struct slice value, struct detail *detail)
{
    uint64_t number = LISTING_LIMIT;
    if (value.data && (!integer_valid(value, LISTING_LIMIT_MAX, &number) || !number))
        return detail_say(detail, ERR_INVALID_QUERY_PARAM,
                          "limit must be a whole number of streams from 1 to %u, not %s", LISTING_LIMIT_MAX,
                          detail_quote(value).text);
    listing->limit = (uint32_t)number;
    return ERR_NONE;
}

static enum error listing_understand(struct listing *listing, struct slice project, struct slice query,
                                     struct detail *detail)
{
    struct slice after = query_value(query, '&', SLICE("after"));
    enum error error = listing_understand_limit(listing, query_value(query, '&', SLICE("limit")), detail);
    listing->all = project.len == 0;
    buf_add_slice(&listing->prefix, project);
    if (!listing->all)
        buf_add_byte(&listing->prefix, '/');
    buf_add_slice(&listing->from, buf_slice(&listing->prefix));
    if (error == ERR_NONE)
        error = listing_add_value(&listing->prefix, "prefix", query_value(query, '&', SLICE("prefix")), detail);
    if (error == ERR_NONE)
        error = listing_add_value(&listing->from, "after", after, detail);
    buf_add_byte(&listing->from, 0); /* names have no NUL, so this is the least name behind `after` */
    /* An `after` before the prefix would make the shard walk over names that cannot match. */
    if (!after.len || slice_compare(buf_slice(&listing->from), buf_slice(&listing->prefix)) < 0) {
        buf_reset(&listing->from);
        buf_add_slice(&listing->from, buf_slice(&listing->prefix));
    }
    return error;
}

struct listing *listing_new(struct slice project, struct slice query, struct detail *detail)
{
    struct listing *listing = xcalloc(1, sizeof *listing);
    if (listing_understand(listing, project, query, detail) == ERR_NONE)
        return listing;
    listing_free(listing);
    return NULL;
}

void listing_free(struct listing *listing)
{
    if (!listing)
        return;
    buf_clear(&listing->prefix);
    buf_clear(&listing->from);
    buf_clear(&listing->until);
    buf_clear(&listing->rows);
    free(listing);
}

struct wire_list listing_ask(const struct listing *listing, uint64_t id)
{
    return (struct wire_list){
        .id = id,
        .prefix = buf_slice(&listing->prefix),
        .from = buf_slice(&listing->from),
        .until = buf_slice(&listing->until),
        .limit = listing->limit,
    };
}

/* ---- what is answered ---- */

/* A row and its frame. frame.len == 0: no row is left. */
struct row {
    struct slice frame;
    struct wire_listed_stream m;
};

/* Takes the first row off. True with an empty frame: none is left. False: the bytes are no row. */
static bool listing_take_row(struct slice *rows, struct row *row)
{
    const struct slice before = *rows;
    struct slice body;
    *row = (struct row){0};
    if (!rows->len)
        return true;
    if (!wire_take(rows, WIRE_LISTED_STREAM, &body) || !wire_get_listed_stream(body, &row->m))
        return false;
    row->frame = slice_of(before.data, before.len - rows->len);
    return true;
}

/* The page ends with this name, or with an earlier one that another shard named: `until` only ever moves to a
 * smaller name. */
static void listing_end_at(struct listing *listing, struct slice name)
{
    if (listing->more && slice_compare(buf_slice(&listing->until), name) <= 0)
        return;
    listing->more = true;
    buf_reset(&listing->until);
    buf_add_slice(&listing->until, name);
}

bool listing_take(struct listing *listing, const struct wire_listed *m)
{
    struct slice ours = buf_slice(&listing->rows), theirs = m->rows;
    struct buf merged = {0};
    struct row a, b, last = {0};
    bool good = listing_take_row(&ours, &a) && listing_take_row(&theirs, &b);
    if (m->flags & WIRE_LISTED_MORE)
        listing_end_at(listing, m->upto);
    for (uint32_t count = 0; good && (a.frame.len || b.frame.len); count++) {
        bool is_ours = !b.frame.len || (a.frame.len && slice_compare(a.m.name, b.m.name) < 0);
        struct row *first = is_ours ? &a : &b;
        /* Both runs are ordered, so everything that follows is behind `until` as well. */
        if (listing->more && slice_compare(first->m.name, buf_slice(&listing->until)) > 0)
            break;
        if (count == listing->limit) {
            listing_end_at(listing, last.m.name);
            break;
        }
        buf_add_slice(&merged, first->frame); /* a copy: the answer's bytes belong to the link */
        last = *first;
        good = listing_take_row(is_ours ? &ours : &theirs, first);
    }
    buf_clear(&listing->rows);
    listing->rows = merged;
    return good;
}

/* ---- as JSON ---- */

static void listing_add_offset(struct buf *out, const char *key, struct offset offset)
{
    buf_add_text(out, ",\"");
    buf_add_text(out, key);
    buf_add_text(out, "\":\"");
    offset_add(out, offset);
    buf_add_text(out, "\"");
}

static void listing_add_retention(struct buf *out, const struct wire_listed_stream *m)
{
    if (!m->retention_s && !m->retention_bytes)
        return;
    buf_add_number(out, ",\"retention\":{\"seconds\":", m->retention_s);
    buf_add_number(out, ",\"bytes\":", m->retention_bytes);
    buf_add_text(out, "}");
}

/* Names are percent-encoded and expiries are timestamps: neither needs JSON's escapes. */
void listing_print_stream(struct buf *out, const struct wire_listed_stream *m, bool whole)
{
    buf_add_text(out, "{\"name\":\"");
    percent_encode(whole ? m->name : project_stream(m->name), out);
    buf_add_text(out, "\",\"contentType\":\"");
    buf_add_json(out, m->content_type);
    buf_add_text(out, "\"");
    buf_add_number(out, ",\"incarnation\":", lives_newest(m->lives).life);
    listing_add_offset(out, "nextOffset", lives_offset(m->lives, m->tail));
    if (m->earliest || m->retention_s || m->retention_bytes)
        listing_add_offset(out, "earliestOffset", lives_offset(m->lives, m->earliest));
    buf_add_number(out, ",\"bytes\":", m->bytes);
    buf_add_text(out, m->flags & WIRE_STREAM_CLOSED ? ",\"closed\":true" : ",\"closed\":false");
    buf_add_text(out, m->flags & WIRE_STREAM_PUBLIC ? ",\"public\":true" : ",\"public\":false");
    buf_add_text(out, m->flags & WIRE_LISTED_ESTUARY ? ",\"estuary\":true" : ",\"estuary\":false");
    buf_add_text(out, m->flags & WIRE_LISTED_FORK ? ",\"fork\":true" : ",\"fork\":false");
    if (m->flags & WIRE_STREAM_TTL)
        buf_add_number(out, ",\"ttl\":", m->ttl_s);
    if ((m->flags & WIRE_STREAM_EXPIRES) && m->expires_text.len) {
        buf_add_text(out, ",\"expiresAt\":\"");
        buf_add_slice(out, m->expires_text);
        buf_add_text(out, "\"");
    }
    listing_add_retention(out, m);
}

void listing_print(const struct listing *listing, struct buf *out)
{
    struct slice rows = buf_slice(&listing->rows);
    struct row row;
    buf_add_text(out, "{\"streams\":[");
    for (bool first = true; listing_take_row(&rows, &row) && row.frame.len; first = false) {
        if (!first)
            buf_add_text(out, ",");
        listing_print_stream(out, &row.m, listing->all);
        buf_add_text(out, "}");
    }
    buf_add_text(out, "],\"next\":");
    if (listing->more) {
        buf_add_text(out, "\"");
        struct slice until = buf_slice(&listing->until);
        percent_encode(listing->all ? until : project_stream(until), out);
        buf_add_text(out, "\"}");
    } else {
        buf_add_text(out, "null}");
    }
}
