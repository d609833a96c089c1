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
    return client + (random % CURSOR_JITTER_MAX + CURSOR_SECONDS) / CURSOR_SECONDS;
}
