/* The words of the configuration's choices, generated from config.def in the order of the enums in choices.h. */
#include "common/choices.h"

#include <stddef.h>

#define NUMBER(section, key, def, min, max, reload, help)
#define SIZE(section, key, def, min, max, reload, help)
#define DURATION(section, key, def, min, max, reload, help)
#define TEXT(section, key, def, min, max, reload, help)
#define FORM(section, key, def, min, max, reload, form, help)
#define ADDRESS(section, key, def, reload, help)
#define WORD(id, word) [id] = word,
#define CHOICE(section, key, def, words, reload, help) const char *const choice_##section##_##key[] = {words NULL};
#include "common/config.def"

int choice_find(const char *const *words, struct slice word)
{
    for (int i = 0; words[i]; i++)
        if (slice_equal(slice_str(words[i]), word))
            return i;
    return -1;
}
