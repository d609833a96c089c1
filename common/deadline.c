#include "common/deadline.h"

#include <stddef.h>

void deadlines_init(struct deadlines *deadlines)
{
    for (int i = 0; i < DEADLINE_CLASSES; i++)
        deadlines->lists[i].prev = deadlines->lists[i].next = &deadlines->lists[i];
}

void deadline_clear(struct deadline *deadline)
{
    if (!deadline->next)
        return;
    deadline->prev->next = deadline->next;
    deadline->next->prev = deadline->prev;
    deadline->prev = deadline->next = NULL;
}

void deadline_set(struct deadlines *deadlines, enum deadline_class class, struct deadline *deadline, uint64_t at_ms)
{
    struct deadline *list = &deadlines->lists[class];
    deadline_clear(deadline);
    struct deadline *after = list->prev;
    /* A reload may have changed the duration; usually there is nothing to walk over. */
    while (after != list && after->at_ms > at_ms)
        after = after->prev;
    deadline->at_ms = at_ms;
    deadline->prev = after;
    deadline->next = after->next;
    after->next->prev = deadline;
    after->next = deadline;
}

const struct deadline *deadline_first(const struct deadlines *deadlines, enum deadline_class class)
{
    const struct deadline *list = &deadlines->lists[class];
    return list->next != list ? list->next : NULL;
}

struct deadline *deadline_expired(struct deadlines *deadlines, enum deadline_class class, uint64_t now_ms)
{
    struct deadline *first = deadlines->lists[class].next;
    if (first == &deadlines->lists[class] || first->at_ms > now_ms)
        return NULL;
    deadline_clear(first);
    return first;
}
