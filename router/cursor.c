#include "router/cursor.h"

#define CURSOR_EPOCH 1728432000u /* 2024-10-09T00:00:00Z */
#define CURSOR_SECONDS 20u
#define CURSOR_JITTER_MAX 3600u

uint64_t cursor_interval(uint64_t unix_s)
{
    return unix_s > CURSOR_EPOCH ? (unix_s - CURSOR_EPOCH) / CURSOR_SECONDS : 0;
}

uint64_t cursor_next(uint64_t client, uint64_t unix_s, uint64_t random)
{
    uint64_t now = cursor_interval(unix_s);
    if (client < now || client == 0)
        return now;
    return client + (random % CURSOR_JITTER_MAX + CURSOR_SECONDS) / CURSOR_SECONDS;
}
