/* Timeouts in lists, one a class. All of a class last equally long, so the order of arming is the order of expiry and
 * arming, clearing and expiring cost nothing to speak of. */
#ifndef COMMON_DEADLINE_H
#define COMMON_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum deadline_class {
    DEADLINE_IDLE,
    DEADLINE_HEAD,
    DEADLINE_BODY,
    DEADLINE_LINGER,
    DEADLINE_LONG_POLL,
    DEADLINE_SSE_LIFETIME,
    DEADLINE_SILENCE,
    DEADLINE_SUSPENDED,
    DEADLINE_WRITE,
    DEADLINE_HEARTBEAT,
    DEADLINE_SHARD_WAIT,
    DEADLINE_PIECE,
    DEADLINE_CLASSES
};

/* Embedded in what it is about; zeroed at the start. */
struct deadline {
    struct deadline *prev, *next; /* NULL: not armed */
    uint64_t at_ms;
};

struct deadlines {
    struct deadline lists[DEADLINE_CLASSES]; /* rings; the first to expire comes first */
};

void deadlines_init(struct deadlines *deadlines);

/* Arms it for at_ms, in whatever class it was armed before. */
void deadline_set(struct deadlines *deadlines, enum deadline_class class, struct deadline *deadline, uint64_t at_ms);
void deadline_clear(struct deadline *deadline);

static inline bool deadline_armed(const struct deadline *deadline)
{
    return deadline->next != NULL;
}

/* Takes the first of a class that is due at now_ms off its list; NULL if there is none. */
struct deadline *deadline_expired(struct deadlines *deadlines, enum deadline_class class, uint64_t now_ms);

/* The first of a class, which stays armed; NULL: none is. */
const struct deadline *deadline_first(const struct deadlines *deadlines, enum deadline_class class);

#endif
