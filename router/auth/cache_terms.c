/* How long an answer stays usable, from its headers as they come:
 *
 *     Cache-Control: max-age=300, must-revalidate
 *     Age: 20                                        --> 280 s, less the time that asking took
 *
 * Failure modes: Anything that is malformed, contradictory or says "no" makes the answer usable once only (`never`):
 * asking again is always right, an old decision may not be. Directives that are not known are ignored. */
#include "router/auth/cache_terms.h"

#include "common/tchar.h"

#define SECONDS_MAX ((uint64_t)1 << 31) /* what a larger number counts as (RFC 9111 1.2.2) */

/* A directive, its value without quotes. Escapes inside of quotes stay: no number has one. */
struct directive {
    struct slice name, value;
    bool has_value;
};

static size_t cache_terms_span(struct slice in, const char *set)
{
    size_t len = 0;
    while (len < in.len && in.data[len] && strchr(set, in.data[len]))
        len++;
    return len;
}

/* Of a quoted string with both quotes; 0: it has no end. */
static size_t cache_terms_quoted_length(struct slice in)
{
    for (size_t i = 1; i < in.len; i++) {
        if (in.data[i] == '"')
            return i + 1;
        if (in.data[i] == '\\')
            i++;
    }
    return 0;
}

/* Takes `token [ "=" ( token / quoted-string ) ]` off the front. False: it is none. */
static bool cache_terms_take_directive(struct slice *in, struct directive *d)
{
    *d = (struct directive){.name = slice_of(in->data, tchar_span(*in))};
    *in = slice_from(*in, d->name.len);
    if (!d->name.len || !in->len || *in->data != '=')
        return d->name.len > 0;
    *in = slice_from(*in, 1);
    d->has_value = true;
    bool quoted = in->len && *in->data == '"';
    size_t len = quoted ? cache_terms_quoted_length(*in) : tchar_span(*in);
    d->value = quoted && len ? slice_of(in->data + 1, len - 2) : slice_of(in->data, len);
    *in = slice_from(*in, len);
    return len > 0;
}

static bool cache_terms_take_seconds(struct slice text, uint64_t *seconds)
{
    *seconds = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *seconds = *seconds * 10 + (uint64_t)(text.data[i] - '0');
        if (*seconds > SECONDS_MAX)
            *seconds = SECONDS_MAX;
    }
    return text.len > 0;
}

/* Two of them, or one that is no number, make the answer stale (RFC 9111 4.2.1). */
static void cache_terms_take_max_age(struct cache_terms *terms, const struct directive *d)
{
    if (terms->fresh || !d->has_value || !cache_terms_take_seconds(d->value, &terms->max_age_s))
        terms->never = true;
    terms->fresh = true;
}

static void cache_terms_take_cache_control(struct cache_terms *terms, struct slice in)
{
    struct directive d;
    while (!terms->never && (in = slice_from(in, cache_terms_span(in, " \t,"))).len) {
        if (!cache_terms_take_directive(&in, &d) || slice_alike(d.name, SLICE("no-store")) ||
            slice_alike(d.name, SLICE("no-cache")))
            terms->never = true;
        else if (slice_alike(d.name, SLICE("max-age")))
            cache_terms_take_max_age(terms, &d);
        in = slice_from(in, cache_terms_span(in, " \t"));
        if (in.len && *in.data != ',')
            terms->never = true; /* malformed: there may be anything in it */
    }
}

/* An Age that is no number is ignored (RFC 9111 5.1); of several the largest counts. */
static void cache_terms_take_age(struct cache_terms *terms, struct slice value)
{
    uint64_t age;
    if (cache_terms_take_seconds(value, &age) && age > terms->age_s)
        terms->age_s = age;
}

void cache_terms_add(struct cache_terms *terms, struct slice name, struct slice value)
{
    if (slice_alike(name, SLICE("cache-control")))
        cache_terms_take_cache_control(terms, value);
    else if (slice_alike(name, SLICE("age")))
        cache_terms_take_age(terms, value);
    else if (slice_alike(name, SLICE("vary")) && value.len && memchr(value.data, '*', value.len))
        terms->never = true;
}

uint64_t cache_terms_ms(const struct cache_terms *terms, uint64_t asking_ms)
{
    uint64_t lasts = terms->max_age_s * 1000, gone = terms->age_s * 1000 + asking_ms;
    return terms->never || !terms->fresh || gone >= lasts ? 0 : lasts - gone;
}
