/* Lists in one text, with spaces between the words: "a b c". Words are borrowed from the text. */
#include "common/words.h"

bool words_next(const char **words, struct slice *word)
{
    const char *start = *words + strspn(*words, " ");
    *word = slice_of(start, strcspn(start, " "));
    *words = start + word->len;
    return word->len > 0;
}

bool words_have(const char *words, struct slice word)
{
    struct slice each;
    while (words_next(&words, &each))
        if (slice_equal(each, word))
            return true;
    return false;
}
