/* The one intrusive list: doubly linked, circular, with a head that is no member. A member embeds a struct list; adding
 * and removing are O(1) and allocate nothing. Nothing here owns a member. */
#ifndef COMMON_LIST_H
#define COMMON_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A head, or the link inside a member. */
struct list {
    struct list *next, *prev;
};

/* The struct of a type that embeds `link` as its field `member`. */
#define LIST_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Walks from the first link to the last. The list may not change meanwhile, except behind the current link. */
#define LIST_EACH(link, head) for (struct list *link = (head)->next; link != (head); link = link->next)

/* The same; the current link may leave the list, or be freed with its owner. */
#define LIST_EACH_SAFE(link, after, head)                                                                              \
    for (struct list *link = (head)->next, *after = link->next; link != (head); link = after, after = link->next)

/* An empty list, or a link that is on none. */
static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}

/* Of a head: whether there are no members. Of a link: whether it is on no list. */
static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

/* Puts a link in front of `at`, which is a member or, for the list's end, its head. The link is on no list. */
static inline void list_insert(struct list *at, struct list *link)
{
    link->prev = at->prev;
    link->next = at;
    at->prev->next = link;
    at->prev = link;
}

/* How many members a head has; walks over all of them. */
static inline size_t list_count(const struct list *head)
{
    size_t count = 0;
    for (const struct list *link = head->next; link != head; link = link->next)
        count++;
    return count;
}

static inline void list_add_last(struct list *head, struct list *link)
{
    list_insert(head, link);
}

static inline void list_add_first(struct list *head, struct list *link)
{
    list_insert(head->next, link);
}

/* Takes a link off its list, and leaves it on none. A link that is on none stays so. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* The first link, taken off; NULL: the list is empty. */
static inline struct list *list_pop(struct list *head)
{
    struct list *link = head->next;
    if (link == head)
        return NULL;
    list_remove(link);
    return link;
}

/* Moves all members of one list to the end of another. */
static inline void list_append(struct list *head, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = head->prev;
    from->prev->next = head;
    head->prev->next = from->next;
    head->prev = from->prev;
    list_init(from);
}

#endif
