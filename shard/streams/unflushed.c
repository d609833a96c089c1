/* A treap: a search tree by name that is also a heap by a random rank, so its depth is logarithmic for any
 * names that clients choose, and there is nothing to balance. A stream is in it by two links of its own; nothing is
 * allocated.
 *
 * Insertion goes down to the first node with a smaller rank and splits that subtree by the new name; removal joins the
 * two subtrees. Streams are created far more often than they are listed, so a new one is only put on a list (`loose`,
 * rank 0), and most leave it again, flushed, without ever having been in the tree. */
#include "shard/streams/unflushed.h"

#include "common/random.h"
#include "shard/store/store_stream.h"
#include "shard/streams/streams.h"

void unflushed_init(struct unflushed *all)
{
    *all = (struct unflushed){0};
    all->random = random_secret() | 1;
}

/* Splits a tree into the names before this one, and the rest. */
static void unflushed_split(struct stream *tree, struct slice name, struct stream **before, struct stream **rest)
{
    while (tree) {
        if (slice_compare(tree->row.name, name) < 0) {
            *before = tree;
            before = &tree->unflushed_right;
            tree = tree->unflushed_right;
        } else {
            *rest = tree;
            rest = &tree->unflushed_left;
            tree = tree->unflushed_left;
        }
    }
    *before = *rest = NULL;
}

/* Joins two trees; all names of the first come before those of the second. */
static struct stream *unflushed_join(struct stream *before, struct stream *rest)
{
    struct stream *root = NULL, **at = &root;
    while (before && rest) {
        if (before->unflushed_rank >= rest->unflushed_rank) {
            *at = before;
            at = &before->unflushed_right;
            before = before->unflushed_right;
        } else {
            *at = rest;
            at = &rest->unflushed_left;
            rest = rest->unflushed_left;
        }
    }
    *at = before ? before : rest;
    return root;
}

/* ---- loose ones: their rank is 0 ---- */

void unflushed_add(struct unflushed *all, struct stream *stream)
{
    stream->unflushed_rank = 0;
    stream->unflushed_left = NULL;
    stream->unflushed_right = all->loose;
    if (all->loose)
        all->loose->unflushed_left = stream;
    all->loose = stream;
}

static void unflushed_unlist(struct unflushed *all, struct stream *stream)
{
    struct stream *before = stream->unflushed_left, *behind = stream->unflushed_right;
    *(before ? &before->unflushed_right : &all->loose) = behind;
    if (behind)
        behind->unflushed_left = before;
    stream->unflushed_left = stream->unflushed_right = NULL;
}

/* ---- and those in order ---- */

static void unflushed_insert(struct unflushed *all, struct stream *stream)
{
    struct stream **at = &all->root;
    stream->unflushed_rank = random_next(&all->random);
    while (*at && (*at)->unflushed_rank >= stream->unflushed_rank)
        at = slice_compare(stream->row.name, (*at)->row.name) < 0 ? &(*at)->unflushed_left : &(*at)->unflushed_right;
    unflushed_split(*at, stream->row.name, &stream->unflushed_left, &stream->unflushed_right);
    *at = stream;
}

static void unflushed_take_out(struct unflushed *all, struct stream *stream)
{
    struct stream **at = &all->root;
    while (*at != stream)
        at = slice_compare(stream->row.name, (*at)->row.name) < 0 ? &(*at)->unflushed_left : &(*at)->unflushed_right;
    *at = unflushed_join(stream->unflushed_left, stream->unflushed_right);
    stream->unflushed_left = stream->unflushed_right = NULL;
}

void unflushed_remove(struct unflushed *all, struct stream *stream)
{
    if (stream->unflushed_rank)
        unflushed_take_out(all, stream);
    else
        unflushed_unlist(all, stream);
}

bool unflushed_sort(struct unflushed *all, size_t most)
{
    for (struct stream *stream; (stream = all->loose) && most; most--) {
        unflushed_unlist(all, stream);
        unflushed_insert(all, stream);
    }
    return !all->loose;
}

struct stream *unflushed_from(const struct unflushed *all, struct slice name)
{
    struct stream *found = NULL, *at = all->root;
    while (at) {
        bool behind = slice_compare(at->row.name, name) >= 0;
        if (behind)
            found = at;
        at = behind ? at->unflushed_left : at->unflushed_right;
    }
    return found;
}

/* ---- a stream whose row is only in the journal ---- */

void stream_set_unflushed(struct streams *streams, struct stream *stream)
{
    stream->unflushed = true;
    unflushed_add(&streams->unflushed, stream);
}

bool stream_write(struct streams *streams, struct stream *stream)
{
    if (!stream->unflushed)
        return false;
    stream->unflushed = false;
    unflushed_remove(&streams->unflushed, stream);
    store_stream_insert(streams->store, &stream->row);
    return true;
}
