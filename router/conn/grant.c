/* A refusal says what is wrong with the token that came: without one, 401 names the scheme; with a weak one, 403
 * names the scope (RFC 6750 3). */
#include "router/conn/grant.h"

#include <sodium/utils.h>
#include <stdio.h>
#include <time.h>

#include "common/metrics.h"
#include "common/wire.h"
#include "router/http/response.h"

static bool grant_no_token(enum token_fault fault)
{
    return fault == TOKEN_ABSENT || fault == TOKEN_SCHEME;
}

/* Another token would do. */
static bool grant_wants_token(enum token_fault fault)
{
    return fault != TOKEN_OTHER_ORIGIN && fault != TOKEN_EVERYWHERE;
}

unsigned grant_refusal(const struct grant *grant, enum error error)
{
    switch (error) {
    case ERR_FORBIDDEN:
        return METRIC_REFUSED_FORBIDDEN;
    case ERR_RATE_LIMITED:
        return METRIC_REFUSED_RATE_LIMITED;
    case ERR_AUTH_UNAVAILABLE:
        return METRIC_REFUSED_UNAVAILABLE;
    default:
        return grant_no_token(grant->fault)    ? METRIC_REFUSED_MISSING
               : grant->fault == TOKEN_EXPIRED ? METRIC_REFUSED_EXPIRED
                                               : METRIC_REFUSED_INVALID;
    }
}

enum error grant_told(const struct grant *grant, enum error error, struct detail *detail)
{
    enum token_fault fault = grant->fault;
    if (fault == TOKEN_GOOD || (error != ERR_UNAUTHORIZED && error != token_fault_error(fault)))
        return error;
    const char *scope = fault == TOKEN_WEAK ? scope_name(grant->needed) : "";
    return detail_say(detail, token_fault_error(fault), "%s%s%s", token_fault_text(fault),
                      *scope ? "; this needs " : "", scope);
}

void grant_challenge(const struct grant *grant, enum error error, struct buf *head)
{
    char text[400] = "Bearer realm=\"streamd\"";
    size_t len = strlen(text);
    bool told = grant->fault != TOKEN_GOOD && token_fault_error(grant->fault) == error;
    if (error != ERR_UNAUTHORIZED && (error != ERR_FORBIDDEN || !told || !grant_wants_token(grant->fault)))
        return;
    if (told && !grant_no_token(grant->fault))
        len += (size_t)snprintf(text + len, sizeof text - len, ", error=\"%s\", error_description=\"%s\"",
                                error == ERR_FORBIDDEN ? "insufficient_scope" : "invalid_token",
                                token_fault_text(grant->fault));
    if (told && grant->fault == TOKEN_WEAK)
        len += (size_t)snprintf(text + len, sizeof text - len, ", scope=\"%s\"", scope_name(grant->needed));
    response_add(head, "WWW-Authenticate", slice_of(text, len));
}

void grant_take_reader_key(struct grant *grant, struct slice digits)
{
    size_t len = 0;
    grant->has_reader_key =
        digits.len == 2 * READER_KEY_BYTES &&
        sodium_hex2bin(grant->reader_key, sizeof grant->reader_key, digits.data, digits.len, NULL, &len, NULL) == 0 &&
        len == READER_KEY_BYTES;
}

struct slice grant_reader_key(const struct grant *grant, char room[2 * READER_KEY_BYTES + 1])
{
    if (!grant->has_reader_key)
        return SLICE("");
    sodium_bin2hex(room, 2 * READER_KEY_BYTES + 1, grant->reader_key, READER_KEY_BYTES);
    return slice_of(room, 2 * READER_KEY_BYTES);
}

bool grant_shared(const struct grant *grant, const struct wire_stream *stream)
{
    if (!grant->checked || grant->shared || (stream->flags & WIRE_STREAM_PUBLIC))
        return true;
    char room[2 * READER_KEY_BYTES + 1];
    return grant->has_reader_key && slice_equal(grant_reader_key(grant, room), stream->reader_key);
}

uint64_t grant_left_ms(const struct grant *grant)
{
    uint64_t now = (uint64_t)time(NULL);
    if (!grant->expires_s)
        return UINT64_MAX;
    uint64_t left = grant->expires_s > now ? grant->expires_s - now : 0;
    return left < UINT32_MAX ? left * 1000 : UINT64_MAX;
}
