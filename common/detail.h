/* The detail of an error beyond its code: a text made where the fault is found, for the client that is refused. The
 * text names the parameter, header or limit, says what is allowed, and may quote what came. It is bounded, and it is
 * escaped where an answer is written (response_error_body). Pure; it knows neither clients nor requests. */
#ifndef COMMON_DETAIL_H
#define COMMON_DETAIL_H

#include "common/attr.h"
#include "common/errors.h"
#include "common/slice.h"

#define DETAIL_MAX 512
#define DETAIL_QUOTE_MAX 72

struct detail {
    char text[DETAIL_MAX]; /* "": error_text() says all there is */
};

/* Writes a text like printf() and returns `error`. A longer text is cut. detail NULL: nobody wants to know. */
enum error detail_say(struct detail *detail, enum error error, const char *format, ...) PRINTF(3, 4);

/* Bytes that a client sent, for a text: in single quotation marks, or double ones if it has single ones, cut with "..."
 * behind them if they are many. Control characters are spelled out, what is not UTF-8 becomes U+FFFD, and tokens are
 * left out: detail_say(..., "not %s", detail_quote(value).text).
 */
struct detail_quote {
    char text[DETAIL_QUOTE_MAX];
};
struct detail_quote detail_quote(struct slice bytes);

#endif
