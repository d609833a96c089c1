#include "shard/streams/unflushed.h"

#include "common/random.h"
#include "shard/streams/stream.h"

/* Ranks are random, so that nobody can choose names that make the tree a list. */
void unwritten_init(struct unwritten *all)
{
    *all = (struct unwritten){0};
    all->random = random_secret() | 1;
}

/* Takes a tree apart: the names before this one, and the rest. */
static void split(struct stream *tree, struct slice name, struct stream **before, struct stream **rest)
{
    while (tree) {
        if (slice_compare(tree->row.name, name) < 0) {
            *before = tree;
            before = &tree->unwritten_right;
            tree = tree->unwritten_right;
        } else {
            *rest = tree;
            rest = &tree->unwritten_left;
            tree = tree->unwritten_left;
        }
    }
    *before = *rest = NULL;
}

/* And puts one together of two that are in this order. */
static struct stream *join(struct stream *before, struct stream *rest)
{
    struct stream *root = NULL, **at = &root;
    while (before && rest) {
        if (before->unwritten_rank >= rest->unwritten_rank) {
            *at = before;
            at = &before->unwritten_right;
            before = before->unwritten_right;
        } else {
            *at = rest;
            at = &rest->unwritten_left;
            rest = rest->unwritten_left;
        }
    }
    *at = before ? before : rest;
    return root;
}

/* ---- loose ones: their rank is 0 ---- */

void unwritten_add(struct unwritten *all, struct stream *stream)
{
    stream->unwritten_rank = 0;
    stream->unwritten_left = NULL;
    stream->unwritten_right = all->loose;
    if (all->loose)
        all->loose->unwritten_left = stream;
    all->loose = stream;
}

static void unlist(struct unwritten *all, struct stream *stream)
{
    struct stream *before = stream->unwritten_left, *behind = stream->unwritten_right;
    *(before ? &before->unwritten_right : &all->loose) = behind;
    if (behind)
        behind->unwritten_left = before;
    stream->unwritten_left = stream->unwritten_right = NULL;
}

/* ---- and those in order ---- */

static void insert(struct unwritten *all, struct stream *stream)
{
    struct stream **at = &all->root;
    stream->unwritten_rank = random_next(&all->random);
    while (*at && (*at)->unwritten_rank >= stream->unwritten_rank)
        at = slice_compare(stream->row.name, (*at)->row.name) < 0 ? &(*at)->unwritten_left : &(*at)->unwritten_right;
    split(*at, stream->row.name, &stream->unwritten_left, &stream->unwritten_right);
    *at = stream;
}

static void take_out(struct unwritten *all, struct stream *stream)
{
    struct stream **at = &all->root;
    while (*at != stream)
        at = slice_compare(stream->row.name, (*at)->row.name) < 0 ? &(*at)->unwritten_left : &(*at)->unwritten_right;
    *at = join(stream->unwritten_left, stream->unwritten_right);
    stream->unwritten_left = stream->unwritten_right = NULL;
}

void unwritten_remove(struct unwritten *all, struct stream *stream)
{
    if (stream->unwritten_rank)
        take_out(all, stream);
    else
        unlist(all, stream);
}

bool unwritten_sort(struct unwritten *all, size_t most)
{
    for (struct stream *stream; (stream = all->loose) && most; most--) {
        unlist(all, stream);
        insert(all, stream);
    }
    return !all->loose;
}

struct stream *unwritten_from(const struct unwritten *all, struct slice name)
{
    struct stream *found = NULL, *at = all->root;
    while (at) {
        bool behind = slice_compare(at->row.name, name) >= 0;
        if (behind)
            found = at;
        at = behind ? at->unwritten_left : at->unwritten_right;
    }
    return found;
}
