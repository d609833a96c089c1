/* A small table of kinds of lines, searched from its start: there are as many entries as kinds that repeat themselves
 * at the same time, which are few. A kind whose window is over and that held nothing back gives its place away. When
 * all places are taken, a new kind is not limited: a line too many is better than one too few. */
#include "common/log_limit.h"

static bool log_limit_is_over(const struct log_kind *k, uint64_t now_ms)
{
    return now_ms - k->began_ms >= LOG_LIMIT_MS;
}

/* The place of this kind, or one that it may have; NULL: there is none. */
static struct log_kind *log_limit_place_of(struct log_limit *limit, const void *kind, uint64_t now_ms)
{
    struct log_kind *unused = NULL;
    for (unsigned i = 0; i < LOG_LIMIT_KINDS; i++) {
        struct log_kind *k = &limit->kinds[i];
        if (k->kind == kind)
            return k;
        if (!k->kind || (log_limit_is_over(k, now_ms) && k->lines <= LOG_LIMIT_LINES))
            unused = k;
    }
    return unused;
}

struct log_kind *log_limit_hold(struct log_limit *limit, const void *kind, uint64_t now_ms)
{
    struct log_kind *k = log_limit_place_of(limit, kind, now_ms);
    if (!k)
        return NULL;
    if (k->kind != kind || log_limit_is_over(k, now_ms)) {
        k->kind = kind;
        k->began_ms = now_ms;
        k->lines = 0;
    }
    return ++k->lines > LOG_LIMIT_LINES ? k : NULL;
}

const struct log_kind *log_limit_due(struct log_limit *limit, uint64_t now_ms, bool all, unsigned *held)
{
    for (unsigned i = 0; i < LOG_LIMIT_KINDS; i++) {
        struct log_kind *k = &limit->kinds[i];
        if (!k->kind || k->lines <= LOG_LIMIT_LINES || (!all && !log_limit_is_over(k, now_ms)))
            continue;
        *held = k->lines - LOG_LIMIT_LINES;
        k->kind = NULL;
        return k;
    }
    return NULL;
}
