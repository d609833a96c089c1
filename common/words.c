#include "common/words.h"

bool words_have(const char *words, struct slice word)
{
    while (*words) {
        size_t len = strcspn(words, " ");
        if (len && slice_equal(slice_of(words, len), word))
            return true;
        words += len + strspn(words + len, " ");
    }
    return false;
}
