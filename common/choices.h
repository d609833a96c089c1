/* The configuration's choices: each CHOICE of config.def is an enum and the words that stand for its values.
 *
 *     CHOICE(auth, mode, "none", WORD(AUTH_MODE_NONE, "none") WORD(AUTH_MODE_JWT, "jwt") …)
 *
 * gives `enum auth_mode`, which is the type of cfg->auth_mode, and `choice_auth_mode`, its words. Only config.c reads
 * and prints the words of a file; everybody else compares values. */
#ifndef COMMON_CHOICES_H
#define COMMON_CHOICES_H

#include "common/attr.h"
#include "common/slice.h"

#define NUMBER(section, key, def, min, max, reload, help)
#define SIZE(section, key, def, min, max, reload, help)
#define DURATION(section, key, def, min, max, reload, help)
#define TEXT(section, key, def, min, max, reload, help)
#define FORM(section, key, def, min, max, reload, form, help)
#define ADDRESS(section, key, def, reload, help)
#define WORD(id, word) id,

#define CHOICE(section, key, def, words, reload, help) enum section##_##key{words};
#include "common/config.def"
#undef CHOICE

/* The words by their values; NULL ends them. */
#define CHOICE(section, key, def, words, reload, help) extern const char *const choice_##section##_##key[];
#include "common/config.def"
#undef CHOICE

#undef NUMBER
#undef SIZE
#undef DURATION
#undef TEXT
#undef FORM
#undef ADDRESS
#undef WORD

/* The value that `word` stands for; -1: none of them. */
int choice_find(const char *const *words, struct slice word) MUSTUSE;

#endif
