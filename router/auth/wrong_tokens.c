#include "router/auth/wrong_tokens.h"

#include <netinet/in.h>

#include "common/mem.h"
#include "router/auth/mark.h"

struct wrong_tokens_place {
    uint64_t address, minute, count;
};

void wrong_tokens_init(struct wrong_tokens *wrong)
{
    wrong->places = xcalloc(WRONG_TOKENS_PLACES, sizeof *wrong->places);
}

uint64_t wrong_tokens_address(const struct sockaddr_storage *peer)
{
    if (!peer)
        return 1;
    if (peer->ss_family == AF_INET6)
        /* One host usually has a whole /64 to choose addresses from. */
        return auth_mark(slice_of((const char *)&((const struct sockaddr_in6 *)peer)->sin6_addr, 8));
    return auth_mark(slice_of((const char *)&((const struct sockaddr_in *)peer)->sin_addr, 4));
}

/* The place of this address, at 0 if it was another's or another minute's. */
static struct wrong_tokens_place *wrong_tokens_place(struct wrong_tokens *wrong, uint64_t address, uint64_t now_ms)
{
    /* A mark's lowest bit is always 1 (mark.h), so it says nothing about the place. */
    struct wrong_tokens_place *place = &wrong->places[address / 2 % WRONG_TOKENS_PLACES];
    uint64_t minute = now_ms / 60000;
    if (place->address != address || place->minute != minute)
        *place = (struct wrong_tokens_place){.address = address, .minute = minute};
    return place;
}

uint64_t wrong_tokens_count(struct wrong_tokens *wrong, uint64_t address, uint64_t now_ms)
{
    return wrong_tokens_place(wrong, address, now_ms)->count;
}

void wrong_tokens_add(struct wrong_tokens *wrong, uint64_t address, uint64_t now_ms)
{
    wrong_tokens_place(wrong, address, now_ms)->count++;
}
