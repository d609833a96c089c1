/* Tokens in texts that are logged or sent back: a JWT begins with base64 of {" (eyJ), so every such word of
 * TOKEN_MIN characters or more becomes [token].
 *
 *     Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIi   ->   Authorization: Bearer [token]
 *
 * The text only gets shorter ("[token]" is shorter than TOKEN_MIN), so it is rewritten in place. */
#include "common/redact.h"

#define TOKEN_MIN 13u /* "eyJ" and ten more */

bool redact_is_word(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           byte == '_' || byte == '-' || byte == '.';
}

bool redact_begins_token(struct slice text)
{
    return slice_begins(text, SLICE("eyJ")); /* {" in base64 */
}

size_t redact_tokens(char *text, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len;) {
        size_t run = 0;
        while (redact_begins_token(slice_of(text + i, len - i)) && i + run < len && redact_is_word(text[i + run]))
            run++;
        if (run >= TOKEN_MIN) {
            memcpy(text + out, "[token]", 7);
            out += 7;
            i += run;
        } else {
            text[out++] = text[i++];
        }
    }
    return out;
}
