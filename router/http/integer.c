/* Each number has exactly one spelling: no sign, no leading zero, no space. So a header that passed here is the same
 * number to everyone who reads it.
 *
 * A text that is no number at all is INTEGER_NONE, whatever its length; INTEGER_OVERFLOW means digits only, but too
 * many. The limit is checked after each digit, so the sum does not wrap around as long as max is well
 * below UINT64_MAX / 10. */
#include "router/http/integer.h"

enum integer integer_parse(struct slice text, uint64_t max, uint64_t *value)
{
    *value = 0;
    if (!text.len || (text.len > 1 && text.data[0] == '0'))
        return INTEGER_NONE;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return INTEGER_NONE;
    for (size_t i = 0; i < text.len; i++) {
        *value = *value * 10 + (uint64_t)(text.data[i] - '0');
        if (*value > max)
            return INTEGER_OVERFLOW;
    }
    return INTEGER_GOOD;
}

bool integer_valid(struct slice text, uint64_t max, uint64_t *value)
{
    return integer_parse(text, max, value) == INTEGER_GOOD;
}
