/* The scanner of common/json.c as machines without SSE2 have it, and the one of this machine held against it. Include
 * this header first. */
#ifndef TESTS_UNIT_SWAR_JSON_H
#define TESTS_UNIT_SWAR_JSON_H

#define SIMD_OFF
#define json_messages swar_json_messages
#define json_lines(...) swar_json_lines(__VA_ARGS__) /* not the struct */
#define json_valid swar_json_valid
#define json_open swar_json_open
#define json_next swar_json_next
#include "common/json.c"
#undef SIMD_OFF
#undef json_messages
#undef json_lines
#undef json_valid
#undef json_open
#undef json_next

__typeof__(swar_json_messages) json_messages;
__typeof__(swar_json_lines) json_lines;
__typeof__(swar_json_valid) json_valid;
__typeof__(swar_json_open) json_open;
__typeof__(swar_json_next) json_next;

/* The detail names the first wrong byte and what should be there. */
struct swar_json_result {
    bool accepted;
    uint64_t count;
    struct buf out, boundaries;
    struct detail detail;
};

static inline bool swar_json_same(struct swar_json_result *a, struct swar_json_result *b)
{
    bool same = a->accepted == b->accepted && a->count == b->count && !strcmp(a->detail.text, b->detail.text) &&
                slice_equal(buf_slice(&a->out), buf_slice(&b->out)) &&
                slice_equal(buf_slice(&a->boundaries), buf_slice(&b->boundaries));
    struct buf *const used[] = {&a->out, &a->boundaries, &b->out, &b->boundaries};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        buf_clear(used[i]);
    return same;
}

/* Both scanners make the same of a text, and of its lines. */
static inline bool swar_json_agrees(struct slice text)
{
    struct swar_json_result a = {0}, b = {0}, c = {0}, d = {0};
    struct json_lines found = {0}, swar_found = {0};
    a.accepted = json_messages(text, &a.out, &a.boundaries, &a.count, &a.detail);
    b.accepted = swar_json_messages(text, &b.out, &b.boundaries, &b.count, &b.detail);
    c.accepted = json_lines(text, &c.out, &c.boundaries, &found, &c.detail) == ERR_NONE;
    d.accepted = swar_json_lines(text, &d.out, &d.boundaries, &swar_found, &d.detail) == ERR_NONE;
    bool lines_same = found.lines == swar_found.lines && found.count == swar_found.count;
    bool whole_same = swar_json_same(&a, &b);
    return swar_json_same(&c, &d) && whole_same && lines_same;
}

#endif
