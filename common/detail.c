/* Details of errors: detail_say() writes the text, detail_quote() prepares bytes of a client for it.
 *
 *     'abc'      "it's"      'first part of a long va'...
 *
 * A quote looks at LOOKED_AT bytes at most, takes tokens out of them and escapes the rest; "..." tells that
 * something was left off. Tokens go first: the beginning of one, cut by the quote's length, might no longer be
 * recognized. */
#include "common/detail.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/escape.h"
#include "common/redact.h"

#define LOOKED_AT 512 /* bytes of a value, so that no part of a token is shown */
#define QUOTED_MAX (DETAIL_QUOTE_MAX - sizeof "''...")

enum error detail_say(struct detail *detail, enum error error, const char *format, ...)
{
    va_list args;
    if (!detail)
        return error;
    va_start(args, format);
    vsnprintf(detail->text, sizeof detail->text, format, args);
    va_end(args);
    return error;
}

struct detail_quote detail_quote(struct slice bytes)
{
    struct detail_quote quote;
    char shown[LOOKED_AT], all[QUOTED_MAX * ESCAPE_GROWTH];
    size_t given = bytes.len < sizeof shown ? bytes.len : sizeof shown;
    if (given)
        memcpy(shown, bytes.data, given);
    struct slice text = slice_of(shown, redact_tokens(shown, given));
    size_t len = escape_plain(all, QUOTED_MAX, text);
    bool cut = given < bytes.len || text.len > QUOTED_MAX || escape_plain(all, sizeof all, text) > len;
    char mark = memchr(all, '\'', len) ? '"' : '\'';
    snprintf(quote.text, sizeof quote.text, "%c%.*s%c%s", mark, (int)len, all, mark, cut ? "..." : "");
    return quote;
}
