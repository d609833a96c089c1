/* CREATE. The name decides first: a live stream there is compared with the request, field by field in the protocol's
 * order (PROTOCOL.md 5.1), and the first that differs is the answer. Otherwise, in this order: room on the disk, room
 * for more history, the project's quota. A stream costs one entry in the journal, and its row is written when that is
 * flushed (shard/streams/unflushed.h); a fork's row has what the journal's entry has not, so it is written at once.
 *
 *     on_create --a stream is there--> compared: 200, or refused with a text that names both sides
 *        |
 *        +--plain--> create_stream --> an entry in the journal                                   --> 201
 *        +--fork---> fork_begin --> (PINNED) fork_conclude --> create_stream --> a row, an entry --> 201
 *
 * Failure modes: everything is written in the turn's transaction and the answer leaves after its commit, so after a
 * crash there is a stream or no answer. A client that repeats its PUT is compared with what the first one made: 200. */
#include "shard/handlers/create.h"

#include <stdio.h>
#include <sys/random.h>

#include "common/layout.h"
#include "common/lives.h"
#include "common/log.h"
#include "common/media_type.h"
#include "shard/fanout/append.h"
#include "shard/fanout/body.h"
#include "shard/handlers/delete.h"
#include "shard/handlers/fork.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/streams/condition.h"
#include "shard/streams/due.h"
#include "shard/streams/reply.h"
#include "shard/store/disk.h"
#include "shard/store/entry.h"
#include "shard/store/store.h"
#include "shard/store/store_stream.h"
#include "shard/store/store_uid.h"

static const struct slice create_default_type = {"application/octet-stream", 24};

/* ---- a stream is there already ---- */

/* An expiry that a fork has inherited was not asked for, so a repeated PUT without one matches it. */
static bool create_expiry_matches(const struct stream_row *row, const struct wire_create *m)
{
    bool asked_ttl = m->flags & WIRE_CREATE_TTL, asked_expires = m->flags & WIRE_CREATE_EXPIRES;
    if (!asked_ttl && !asked_expires)
        return row->expiry_inherited || (row->ttl_s == STORE_NONE && row->expires_ms == STORE_NONE);
    if (asked_ttl)
        return row->ttl_s == m->ttl_s;
    return row->ttl_s == STORE_NONE && row->expires_ms == m->expires_ms;
}

/* Without a position the first request forked at the tail of that moment, which a repetition does not know. */
static bool create_fork_matches(const struct stream *stream, const struct wire_create *m)
{
    const struct stream_row *row = &stream->row;
    const struct offset at = {m->fork_life, m->fork_position};
    if (!(m->flags & WIRE_CREATE_FORK))
        return row->source_uid == STORE_NONE;
    return row->source_uid != STORE_NONE && slice_equal(row->source_name, m->fork_source) &&
           row->fork_sub == m->fork_sub &&
           (!(m->flags & WIRE_CREATE_FORK_POSITION) ||
            (row->fork_position == m->fork_position && lives_admit(stream_lives(stream), at)));
}

struct expiry {
    char text[128];
};

/* ttl_s STORE_NONE: there is no TTL; a text of no bytes: there is no expiry. */
static struct expiry create_expiry_text(uint64_t ttl_s, struct slice expires)
{
    struct expiry expiry = {"neither Stream-TTL nor Stream-Expires-At"};
    if (ttl_s != STORE_NONE)
        snprintf(expiry.text, sizeof expiry.text, "Stream-TTL: %llu", (unsigned long long)ttl_s);
    else if (expires.len)
        snprintf(expiry.text, sizeof expiry.text, "Stream-Expires-At: %.*s", (int)expires.len, expires.data);
    return expiry;
}

static enum error create_say_expiry(struct detail *detail, const struct stream_row *row, const struct wire_create *m)
{
    uint64_t ttl_s = (m->flags & WIRE_CREATE_TTL) ? m->ttl_s : STORE_NONE;
    return detail_say(detail, ERR_STREAM_TTL_MISMATCH, "the stream has %s; this request has %s",
                      create_expiry_text(row->ttl_s, row->expires_text).text,
                      create_expiry_text(ttl_s, m->expires_text).text);
}

static enum error create_say_closed(struct detail *detail, bool closed)
{
    return detail_say(detail, ERR_STREAM_CLOSED_STATUS_MISMATCH,
                      closed ? "the stream is closed; a PUT of a closed stream has Stream-Closed: true"
                             : "the stream is open; close it with a POST, or leave Stream-Closed out");
}

static enum error create_compare(const struct stream *stream, const struct wire_create *m, struct detail *detail)
{
    const struct stream_row *row = &stream->row;
    if (m->content_type.len && !media_type_same(row->content_type, m->content_type))
        return reply_say_types(detail, row->content_type, "request", m->content_type);
    if (row->closed != ((m->flags & WIRE_CREATE_CLOSED) != 0))
        return create_say_closed(detail, row->closed);
    if (!create_expiry_matches(row, m))
        return create_say_expiry(detail, row, m);
    if (row->is_public != ((m->flags & WIRE_CREATE_PUBLIC) != 0))
        return detail_say(detail, ERR_STREAM_EXISTS, "the stream exists and is %spublic", row->is_public ? "" : "not ");
    if ((m->flags & WIRE_CREATE_RETENTION) &&
        (row->retention_s != m->retention_s || row->retention_bytes != m->retention_bytes))
        return detail_say(detail, ERR_STREAM_RETENTION_MISMATCH,
                          "the stream exists and keeps %llu seconds and %llu bytes (0: no limit)",
                          (unsigned long long)row->retention_s, (unsigned long long)row->retention_bytes);
    return create_fork_matches(stream, m) ? ERR_NONE : ERR_STREAM_FORK_MISMATCH;
}

/* found: why there is no stream. ERR_NONE: the request's stream is there, or the request may make it. */
static enum error create_check(const struct stream *stream, enum error found, const struct wire_create *m,
                               struct detail *detail)
{
    enum error error =
        stream ? condition_there(stream, &m->condition, detail) : condition_absent(&m->condition, detail);
    if (error != ERR_NONE)
        return error;
    if (stream)
        return create_compare(stream, m, detail);
    return found == ERR_STREAM_NOT_FOUND ? ERR_NONE : ERR_STREAM_SOFT_DELETED;
}

bool create_answer_existing(struct shard *shard, struct asker asker, const struct wire_create *m)
{
    enum error error = ERR_NONE;
    struct detail detail = {0};
    struct stream *stream = streams_live(&shard->streams, m->name, shard->now_ms, &error);
    error = create_check(stream, error, m, &detail);
    if (error != ERR_NONE) {
        reply_refuse_stream(shard, asker, stream, error, &detail);
        return true;
    }
    if (!stream)
        return false;
    struct wire_stream answer = reply_describe(shard, stream, m->id);
    reply_send(shard, asker, &answer);
    return true;
}

/* ---- a new stream ---- */

static struct stream_row create_plain_row(const struct shard *shard, const struct wire_create *m)
{
    struct slice type = m->content_type.len ? m->content_type : create_default_type;
    return (struct stream_row){
        .name = m->name,
        .content_type = type,
        .kind = media_type_is_json(type) ? STREAM_KIND_JSON : 0,
        .closed = (m->flags & WIRE_CREATE_CLOSED) != 0,
        .ttl_s = (m->flags & WIRE_CREATE_TTL) ? m->ttl_s : STORE_NONE,
        .expires_ms = (m->flags & WIRE_CREATE_EXPIRES) ? m->expires_ms : STORE_NONE,
        .expires_text = m->expires_text,
        .accessed_ms = shard->now_ms,
        .source_uid = STORE_NONE,
        .is_public = (m->flags & WIRE_CREATE_PUBLIC) != 0,
        .retention_s = m->retention_s,
        .retention_bytes = m->retention_bytes,
        .retain_ms = STORE_NONE,
    };
}

static void create_make_reader_key(struct stream_row *row)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[READER_KEY_DIGITS / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        fatal("getrandom");
    for (size_t i = 0; i < READER_KEY_DIGITS; i++)
        row->reader_key[i] = digits[random[i / 2] >> (i % 2 * 4) & 15];
}

/* A fork takes bytes from its source, so it holds messages if the source does; and type and expiry if the request has
 * none (PROTOCOL.md 4.2). */
static void create_inherit(struct stream_row *row, const struct wire_create *m, const struct wire_pinned *source,
                           uint64_t pin)
{
    if (!m->content_type.len)
        row->content_type = source->content_type;
    row->kind = source->json ? STREAM_KIND_JSON : 0;
    row->base = row->flushed = row->offloaded = source->position;
    row->earliest = source->earliest;
    row->source_uid = source->uid;
    row->pin = pin;
    row->fork_sub = m->fork_sub;
    row->fork_position = source->position - m->fork_sub;
    row->source_name = m->fork_source;
    row->lineage = source->lineage;
    if (m->flags & (WIRE_CREATE_TTL | WIRE_CREATE_EXPIRES))
        return;
    row->expiry_inherited = true;
    row->ttl_s = source->has_ttl ? source->ttl_s : STORE_NONE;
    row->expires_ms = source->expires_text.len ? source->expires_ms : STORE_NONE;
    row->expires_text = source->expires_text;
}

/* Gives the row its uid, and with it its life; a fork's is later than those of its source. */
static void create_begin_life(struct shard *shard, struct stream_row *row, const struct wire_pinned *source,
                              struct buf *lives)
{
    uint64_t least = source ? layout_serial_of_life(lives_newest(source->lives).life) + 1 : 0;
    uint64_t serial = layout_serial_at(shard->now_ms);
    row->uid =
        store_next_uid(shard->store, layout_slot(&shard->peers.layout, row->name), least > serial ? least : serial);
    if (!row->base)
        return; /* all of it is its own */
    lives_inherit(lives, source->lives, row->base);
    lives_add(lives, row->base, layout_life_of_uid(row->uid));
    row->lives = buf_slice(lives);
}

static struct journal_entry create_first_entry(const struct body *body)
{
    return (struct journal_entry){
        .count = body->count,
        .boundaries = body->boundaries,
        .data = body->data,
    };
}

/* A fork's row holds what only the store has, so it is written at once. */
static struct stream *create_insert_fork(struct shard *shard, const struct stream_row *row, const struct body *body)
{
    struct stream *stream = streams_add_new(&shard->streams, row);
    store_stream_insert(shard->store, row);
    struct journal_entry first = create_first_entry(body);
    if (first.count)
        append_entry(shard, stream, &first);
    return stream;
}

/* Creating any other stream is like appending to it: one entry in the journal. */
static struct stream *create_log_creation(struct shard *shard, const struct stream_row *row, const struct body *body)
{
    struct stream *stream = streams_add_new(&shard->streams, row);
    struct journal_entry first = create_first_entry(body);
    stream_set_unflushed(&shard->streams, stream);
    first.flags = ENTRY_CREATES | (row->closed ? ENTRY_CLOSES : 0) | (row->is_public ? ENTRY_PUBLIC : 0) |
                  (row->kind & STREAM_KIND_JSON ? ENTRY_JSON : 0);
    first.reader_key = slice_of(row->reader_key, READER_KEY_DIGITS);
    first.name = row->name;
    first.content_type = row->content_type;
    first.expires_text = row->expires_text;
    first.ttl_s = row->ttl_s;
    first.expires_ms = row->expires_ms;
    first.retention_s = row->retention_s;
    first.retention_bytes = row->retention_bytes;
    append_entry(shard, stream, &first);
    return stream;
}

struct stream *create_plain(struct shard *shard, struct slice name, struct slice content_type, bool json)
{
    const struct wire_create m = {.name = name, .content_type = content_type};
    struct stream_row row = create_plain_row(shard, &m);
    row.kind = json ? STREAM_KIND_JSON : 0;
    delete_expired(shard, name);
    create_make_reader_key(&row);
    row.uid = store_next_uid(shard->store, layout_slot(&shard->peers.layout, name), layout_serial_at(shard->now_ms));
    return create_log_creation(shard, &row, &(struct body){0});
}

bool create_stream(struct shard *shard, struct asker asker, const struct wire_create *m,
                   const struct wire_pinned *source, uint64_t pin)
{
    struct stream_row row = create_plain_row(shard, m);
    struct body body = {0};
    struct buf lives = {0};
    struct detail detail = {0};
    /* First of all: a fork's body is parsed as the type that the fork inherits. */
    if (source)
        create_inherit(&row, m, source, pin);
    enum error error = body_take(&body, m->data, stream_row_is_json(&row), &detail);
    if (error == ERR_NONE) {
        /* An expired stream of the name goes first, because the index of names is unique. */
        delete_expired(shard, m->name);
        create_make_reader_key(&row);
        create_begin_life(shard, &row, source, &lives);
        struct stream *stream =
            source ? create_insert_fork(shard, &row, &body) : create_log_creation(shard, &row, &body);
        struct wire_stream answer = reply_describe(shard, stream, asker.id);
        answer.flags |= WIRE_STREAM_CREATED;
        reply_send(shard, asker, &answer);
    } else {
        reply_refuse(shard, asker, error, slice_str(detail.text));
    }
    body_clear(&body);
    buf_clear(&lives);
    return error == ERR_NONE;
}

void on_create(struct shard *shard, struct asker asker, const struct wire_create *m)
{
    if (create_answer_existing(shard, asker, m))
        return;
    if (!disk_takes(&shard->disk, m->data.len))
        reply_error(shard, asker, ERR_INSUFFICIENT_STORAGE);
    else if (m->data.len && streams_backlogged(&shard->streams))
        reply_error(shard, asker, ERR_SEGMENT_BACKLOG);
    else if (m->flags & WIRE_CREATE_FULL)
        reply_error(shard, asker, ERR_QUOTA_EXCEEDED);
    else if (m->flags & WIRE_CREATE_FORK)
        fork_begin(shard, asker, m);
    else
        (void)!create_stream(shard, asker, m, NULL, 0);
}
