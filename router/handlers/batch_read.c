/* The text of `data` goes to the shard as it is written: numbers keep their digits, and the shard knows whether the
 * stream takes JSON or bytes.
 *
 *     {"appends": [{"stream": "a", "data": {"n": 1.50}}]}    data of a JSON stream: {"n": 1.50},
 *     {"appends": [{"stream": "b", "data": "1\n"}]}          data of a text stream: 1 and a line end
 *
 * Failure modes: not JSON, a field that is unknown or comes twice, a value of a wrong type, a stream that is named
 * twice: 400, whose text names the append and the field. The rules of producers and content types are those of headers
 * (rules.c). */
#include "router/handlers/batch_read.h"

#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/config.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/wire.h"
#include "router/auth/named.h"
#include "router/handlers/body_name.h"
#include "router/handlers/conditions.h"
#include "router/handlers/rules.h"

#define FIELDS_MAX 8

/* ---- objects ---- */

/* The members of an object, by the place of their names. */
struct fields {
    const char *what; /* the object, for the text of an error */
    const char *const *names;
    struct slice values[FIELDS_MAX]; /* as they are written; NULL: absent */
};

static enum error batch_read_refuse(struct detail *detail, const char *what, const char *why)
{
    return detail_say(detail, ERR_INVALID_BATCH, "%s %s", what, why);
}

static struct slice *batch_read_field(struct fields *f, struct slice key)
{
    for (size_t i = 0; f->names[i]; i++)
        if (slice_equal(key, slice_str(f->names[i])))
            return &f->values[i];
    return NULL;
}

static enum error batch_read_fields(struct slice object, struct fields *f, struct detail *detail)
{
    struct json_walk walk;
    struct slice key, value;
    if (!json_open(&walk, object, '{'))
        return batch_read_refuse(detail, f->what, "must be a JSON object");
    while (json_next(&walk, &key, &value)) {
        struct slice *field = batch_read_field(f, key);
        if (!field)
            return detail_say(detail, ERR_INVALID_BATCH, "%s is no field of %s", detail_quote(key).text, f->what);
        if (field->data)
            return detail_say(detail, ERR_INVALID_BATCH, "the field %s comes twice", detail_quote(key).text);
        *field = value;
    }
    return ERR_NONE;
}

/* ---- one append ---- */

enum append_field { STREAM, CONTENT_TYPE, DATA, DATA_BASE64, EXPECTED_OFFSET, PRODUCER, CLOSE };
static const char *const append_fields[] = {"stream",         "contentType", "data",  "dataBase64",
                                            "expectedOffset", "producer",    "close", NULL};

enum producer_field { ID, EPOCH, SEQ };
static const char *const producer_fields[] = {"id", "epoch", "seq", NULL};

/* What an append's slices point into. */
struct append_room {
    struct buf stream, type, base64, bytes, expected, producer;
};

static void batch_read_room_clear(struct append_room *room)
{
    buf_clear(&room->stream);
    buf_clear(&room->type);
    buf_clear(&room->base64);
    buf_clear(&room->bytes);
    buf_clear(&room->expected);
    buf_clear(&room->producer);
}

static enum error batch_read_string(struct slice value, const char *what, struct buf *text, struct detail *detail)
{
    return json_unquote(value, text) ? ERR_NONE
                                     : batch_read_refuse(detail, what, "must be a string of whole characters");
}

static enum error batch_read_type(struct slice value, struct append_room *room, struct wire_append *m,
                                  struct detail *detail)
{
    if (!value.data)
        return ERR_NONE;
    enum error error = batch_read_string(value, "contentType", &room->type, detail);
    return error != ERR_NONE ? error : rules_content_type(buf_slice(&room->type), &m->content_type, detail);
}

static enum error batch_read_expected(struct slice value, struct append_room *room, struct wire_append *m,
                                      struct detail *detail)
{
    if (!value.data)
        return ERR_NONE;
    enum error error = batch_read_string(value, "expectedOffset", &room->expected, detail);
    return error != ERR_NONE ? error : conditions_expect(buf_slice(&room->expected), &m->condition, detail);
}

static enum error batch_read_base64(struct slice value, struct append_room *room, struct wire_append *m,
                                    struct detail *detail)
{
    enum error error = batch_read_string(value, "dataBase64", &room->base64, detail);
    if (error != ERR_NONE)
        return error;
    if (!base64_take(&room->bytes, buf_slice(&room->base64)))
        return batch_read_refuse(detail, "dataBase64", "must be base64 (RFC 4648)");
    m->data = buf_slice(&room->bytes);
    m->flags |= WIRE_APPEND_BODY;
    return m->data.len ? ERR_NONE : ERR_EMPTY_BODY;
}

static enum error batch_read_data(const struct fields *f, struct append_room *room, struct wire_append *m,
                                  struct detail *detail)
{
    enum error error = ERR_NONE;
    bool both = f->values[DATA].data && f->values[DATA_BASE64].data;
    if (both)
        return batch_read_refuse(detail, "data and dataBase64", "cannot be used together");
    if (f->values[DATA_BASE64].data)
        error = batch_read_base64(f->values[DATA_BASE64], room, m, detail);
    m->flags |= f->values[DATA].data ? WIRE_APPEND_VALUE : 0;
    if (f->values[DATA].data)
        m->data = f->values[DATA];
    m->count = m->data.len;
    return error;
}

static enum error batch_read_close(struct slice value, struct wire_append *m, struct detail *detail)
{
    bool closes = slice_equal(value, SLICE("true"));
    if (value.data && !closes && !slice_equal(value, SLICE("false")))
        return batch_read_refuse(detail, "close", "must be true or false");
    m->flags |= closes ? WIRE_APPEND_CLOSE : 0;
    return m->count || closes ? ERR_NONE : batch_read_refuse(detail, "an append", "has data, dataBase64 or close");
}

static bool batch_read_is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((uint8_t)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    return true;
}

/* As in the headers that these fields stand for, an id has no control characters. */
static enum error batch_read_producer(struct slice value, struct append_room *room, struct wire_append *m,
                                      struct detail *detail)
{
    struct fields f = {.what = "producer", .names = producer_fields};
    struct slice id = {0};
    if (!value.data)
        return ERR_NONE;
    enum error error = batch_read_fields(value, &f, detail);
    if (error == ERR_NONE && f.values[ID].data) {
        error = batch_read_string(f.values[ID], "producer.id", &room->producer, detail);
        id = slice_of(buf_len(&room->producer) ? buf_slice(&room->producer).data : "", buf_len(&room->producer));
        if (error == ERR_NONE && !batch_read_is_printable(id))
            error = detail_say(detail, ERR_PRODUCER_ID_INVALID, "producer.id must have no control characters");
    }
    if (error == ERR_NONE && !id.data && !f.values[EPOCH].data && !f.values[SEQ].data)
        return batch_read_refuse(detail, "producer", "must have id, epoch and seq");
    return error != ERR_NONE ? error : rules_producer(id, f.values[EPOCH], f.values[SEQ], m, detail);
}

static enum error batch_read_name(const struct body_names *of, struct slice value, struct append_room *room,
                                  struct batch *batch, struct detail *detail)
{
    enum error error = batch_read_string(value, "stream", &room->stream, detail);
    if (error == ERR_NONE)
        error = body_name_add(of, "stream", buf_slice(&room->stream), &batch->names, detail);
    if (error == ERR_NONE)
        buf_add_byte(&batch->names, 0);
    return error;
}

static enum error batch_read_append(const struct body_names *of, struct slice value, struct batch *batch,
                                    struct detail *detail)
{
    struct fields f = {.what = "an append", .names = append_fields};
    struct append_room room = {0};
    struct wire_append m = {.content_type = SLICE("")};
    size_t from = buf_len(&batch->names);
    enum error error = batch_read_fields(value, &f, detail);
    if (error == ERR_NONE)
        error = batch_read_name(of, f.values[STREAM], &room, batch, detail);
    if (error == ERR_NONE)
        error = batch_read_type(f.values[CONTENT_TYPE], &room, &m, detail);
    if (error == ERR_NONE)
        error = batch_read_data(&f, &room, &m, detail);
    if (error == ERR_NONE)
        error = batch_read_close(f.values[CLOSE], &m, detail);
    if (error == ERR_NONE)
        error = batch_read_expected(f.values[EXPECTED_OFFSET], &room, &m, detail);
    if (error == ERR_NONE)
        error = batch_read_producer(f.values[PRODUCER], &room, &m, detail);
    if (error == ERR_NONE) {
        m.name = slice_of(buf_slice(&batch->names).data + from, buf_len(&batch->names) - from - 1);
        batch->bytes += m.data.len;
        batch->has_producers |= (m.flags & WIRE_APPEND_PRODUCER) != 0;
        wire_put_append(&batch->frames, &m);
    }
    batch_read_room_clear(&room);
    return error;
}

/* ---- all of them ---- */

struct slice batch_next_name(struct slice *names)
{
    struct slice name = slice_of(names->data, strnlen(names->data, names->len));
    *names = slice_of(names->data + name.len + 1, names->len - name.len - 1);
    return name;
}

struct numbered {
    struct slice name;
    size_t number;
};

static int batch_read_compare(const void *a, const void *b)
{
    const struct numbered *first = a, *second = b;
    int order = slice_compare(first->name, second->name);
    return order ? order : (first->number > second->number) - (first->number < second->number);
}

/* Two appends to one stream would have to be looked at one after the other: an array of messages does the same. */
static enum error batch_read_check_names(struct batch *batch, struct detail *detail)
{
    struct numbered *all = xmalloc(batch->count * sizeof *all);
    struct slice names = buf_slice(&batch->names);
    enum error error = ERR_NONE;
    for (size_t i = 0; i < batch->count; i++)
        all[i] = (struct numbered){batch_next_name(&names), i};
    qsort(all, batch->count, sizeof *all, batch_read_compare);
    for (size_t i = 1, count = batch->count; i < count && error == ERR_NONE; i++) {
        if (!slice_equal(all[i - 1].name, all[i].name))
            continue;
        batch->count = all[i].number;
        batch->at_append = true;
        error = detail_say(detail, ERR_INVALID_BATCH,
                           "appends[%zu]: its stream is that of appends[%zu]; a stream comes once in a batch",
                           all[i].number, all[i - 1].number);
    }
    free(all);
    return error;
}

static enum error batch_read_appends(const struct config *cfg, struct slice project, struct slice appends,
                                     struct batch *batch, struct detail *detail)
{
    const struct body_names of = {project, cfg->limits_max_path, ERR_INVALID_BATCH};
    struct json_walk walk;
    struct slice key, value;
    struct detail own = {0};
    if (!appends.data || !json_open(&walk, appends, '['))
        return batch_read_refuse(detail, "appends", "must be an array");
    while (json_next(&walk, &key, &value)) {
        if (batch->count >= cfg->limits_batch_appends)
            return detail_say(detail, ERR_INVALID_BATCH,
                              "appends has more items than limits.batch_appends, %llu, allows",
                              (unsigned long long)cfg->limits_batch_appends);
        enum error error = batch_read_append(&of, value, batch, &own);
        if (error != ERR_NONE) {
            batch->at_append = true;
            return detail_say(detail, error, "appends[%zu]: %s", batch->count,
                              *own.text ? own.text : error_text(error));
        }
        batch->count++;
    }
    if (!batch->count)
        return batch_read_refuse(detail, "appends", "must not be empty");
    return batch_read_check_names(batch, detail);
}

enum error batch_read(const struct config *cfg, struct slice project, struct slice body, struct batch *batch,
                      struct detail *detail)
{
    static const char *const names[] = {"appends", NULL};
    struct fields f = {.what = "a batch", .names = names};
    if (!json_valid(body, detail))
        return ERR_INVALID_JSON;
    enum error error = batch_read_fields(body, &f, detail);
    return error != ERR_NONE ? error : batch_read_appends(cfg, project, f.values[0], batch, detail);
}

void batch_clear(struct batch *batch)
{
    buf_clear(&batch->frames);
    buf_clear(&batch->names);
}

void batch_names(struct slice project, struct slice body, const struct config *cfg, struct buf *names)
{
    struct batch batch = {0};
    if (batch_read(cfg, project, body, &batch, NULL) == ERR_NONE)
        for (struct slice rest = buf_slice(&batch.names); rest.len;)
            named_add(names, NAMED_APPEND, batch_next_name(&rest));
    batch_clear(&batch);
}
