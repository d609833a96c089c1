/* A cursor is the number of a 20-second interval. A cache keeps one answer for all clients that ask with the same
 * cursor, and the client sends the cursor of the answer with its next request (PROTOCOL.md 10.1).
 *
 *     client sends 0 or 7, now is interval 9  --> 9
 *     client sends 9 or 12, now is interval 9 --> its own plus 1 to 180 intervals
 *
 * A cursor that stayed the same would let the cache answer again with what the client has. The jitter keeps clients
 * that ran ahead from all asking with the same number. */
#include "router/http/cursor.h"

#define CURSOR_EPOCH 1728432000u /* 2024-10-09T00:00:00Z */
#define CURSOR_SECONDS 20u
#define CURSOR_JITTER_MAX 3600u

uint64_t cursor_interval(uint64_t unix_s)
{
    return unix_s > CURSOR_EPOCH ? (unix_s - CURSOR_EPOCH) / CURSOR_SECONDS : 0;
}

bool cursor_parse(struct slice text, uint64_t *cursor)
{
    uint64_t number = 0;
    *cursor = 0;
    /* All bytes are looked at before the sum: a long text with a letter at its end is no cursor, not one too large. */
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return true;
    for (size_t i = 0; i < text.len; i++) {
        number = number * 10 + (uint64_t)(text.data[i] - '0');
        if (number > CURSOR_MAX)
            return false;
    }
    *cursor = number;
    return true;
}

uint64_t cursor_next(uint64_t client, uint64_t unix_s, uint64_t random)
{
    uint64_t now = cursor_interval(unix_s);
    if (client < now || client == 0)
        return now;
    /* CURSOR_SECONDS are added before the division, so the result is always at least one interval ahead. */
    return client + (random % CURSOR_JITTER_MAX + CURSOR_SECONDS) / CURSOR_SECONDS;
}
