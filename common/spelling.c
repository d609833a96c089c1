#include "common/spelling.h"

#include <ctype.h>

#define EDITS_MAX 2u

static struct slice rest_of(struct slice text)
{
    return slice_of(text.data + 1, text.len - 1);
}

static bool begin_alike(struct slice a, struct slice b)
{
    return a.len && b.len && tolower((unsigned char)a.data[0]) == tolower((unsigned char)b.data[0]);
}

/* At most 3^edits ways, each as long as the shorter text. */
static bool within(struct slice a, struct slice b, size_t edits)
{
    while (begin_alike(a, b)) {
        a = rest_of(a);
        b = rest_of(b);
    }
    if (!a.len && !b.len)
        return true;
    if (!edits)
        return false;
    return (a.len && b.len && within(rest_of(a), rest_of(b), edits - 1)) ||
           (a.len && within(rest_of(a), b, edits - 1)) || (b.len && within(a, rest_of(b), edits - 1));
}

bool spelling_near(struct slice word, struct slice name)
{
    size_t edits = word.len / 3;
    return within(word, name, edits < EDITS_MAX ? edits : EDITS_MAX);
}
