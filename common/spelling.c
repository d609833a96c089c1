/* Two names are near if few edits make one of the other: a letter more, a letter less, or another one; one edit for
 * three letters of the word, and two at most. More would suggest names that nobody meant. */
#include "common/spelling.h"

#include <ctype.h>

#define EDITS_MAX 2u

static struct slice spelling_rest_of(struct slice text)
{
    return slice_of(text.data + 1, text.len - 1);
}

static bool spelling_begin_alike(struct slice a, struct slice b)
{
    return a.len && b.len && tolower((unsigned char)a.data[0]) == tolower((unsigned char)b.data[0]);
}

/* At most 3^edits ways, each as long as the shorter text. */
static bool spelling_within(struct slice a, struct slice b, size_t edits)
{
    while (spelling_begin_alike(a, b)) {
        a = spelling_rest_of(a);
        b = spelling_rest_of(b);
    }
    if (!a.len && !b.len)
        return true;
    if (!edits)
        return false;
    return (a.len && b.len && spelling_within(spelling_rest_of(a), spelling_rest_of(b), edits - 1)) ||
           (a.len && spelling_within(spelling_rest_of(a), b, edits - 1)) ||
           (b.len && spelling_within(a, spelling_rest_of(b), edits - 1));
}

bool spelling_near(struct slice word, struct slice name)
{
    size_t edits = word.len / 3;
    return spelling_within(word, name, edits < EDITS_MAX ? edits : EDITS_MAX);
}
