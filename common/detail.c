#include "common/detail.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/escape.h"

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
    char all[QUOTED_MAX * ESCAPE_GROWTH];
    size_t len = escape_plain(all, QUOTED_MAX, bytes);
    bool cut = bytes.len > QUOTED_MAX || escape_plain(all, sizeof all, bytes) > len;
    snprintf(quote.text, sizeof quote.text, "'%.*s'%s", (int)len, all, cut ? "..." : "");
    return quote;
}
