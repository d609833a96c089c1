/* The configuration: one table (config.def) gives the struct, the defaults, the parser with its range errors, the help
 * text, `streamd check` and config.example.ini. Every process works on its own parsed copy. */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stdint.h>
#include <stdio.h>

#include "common/attr.h"
#include "common/choices.h"
#include "common/slice.h"

/* config.def: TYPE(section, key, default as text, min, max, reloadable, help). The field of [live] sse_lifetime is
 * cfg->live_sse_lifetime. NUMBER: uint64_t. SIZE: uint64_t bytes ("8M"). DURATION: uint64_t milliseconds ("30s").
 * TEXT: char *, owned by the config. FORM: TEXT of a form (common/form.h), or empty. CHOICE: an enum
 * (common/choices.h). ADDRESS: TEXT for address_parse(). */
struct config {
#define NUMBER(section, key, def, min, max, reload, help) uint64_t section##_##key;
#define SIZE(section, key, def, min, max, reload, help) uint64_t section##_##key;
#define DURATION(section, key, def, min, max, reload, help) uint64_t section##_##key;
#define TEXT(section, key, def, min, max, reload, help) char *section##_##key;
#define FORM(section, key, def, min, max, reload, form, help) char *section##_##key;
#define CHOICE(section, key, def, words, reload, help) enum section##_##key section##_##key;
#define ADDRESS(section, key, def, reload, help) char *section##_##key;
#include "common/config.def"
#undef NUMBER
#undef SIZE
#undef DURATION
#undef TEXT
#undef FORM
#undef CHOICE
#undef ADDRESS
};

/* Every key at its default. */
void config_init(struct config *cfg);
void config_clear(struct config *cfg);

/* Reads an ini file over what is in cfg. Every error is one line on errors: "file:line: [section] key: why". Returns
 * the number of errors. */
unsigned config_read_file(struct config *cfg, const char *path, FILE *errors) MUSTUSE;

/* The same from memory (what config_print wrote, as a child gets it); `name` stands for the file in errors. */
unsigned config_read_text(struct config *cfg, const char *name, struct slice text, FILE *errors) MUSTUSE;

/* Finds values that do not go together. Every error is one line. Returns the number of errors. */
unsigned config_check(const struct config *cfg, FILE *errors) MUSTUSE;

#define CONFIG_FOLDER_MAX 3072u /* bytes of the two below */

/* Where segments are as files, and where those of a store are kept after reading: the key's value, or `out`. */
const char *config_segments(const struct config *cfg, char *out, size_t size);
const char *config_cache(const struct config *cfg, char *out, size_t size);

/* One "section.key=value" from the command line; an error reads "--set: [section] key: why". */
unsigned config_set(struct config *cfg, const char *assignment, FILE *errors) MUSTUSE;

/* The effective configuration as an ini text that reads back to the same. */
void config_print(const struct config *cfg, FILE *out);

/* A duration as a configuration spells it ("90s"), in milliseconds. */
bool config_duration(const char *text, uint64_t *ms) MUSTUSE;

/* config.example.ini: every key with its help, range and default, commented out. */
void config_print_example(FILE *out);

/* The same for a terminal. */
void config_print_help(FILE *out);

/* Takes the reloadable keys of `fresh` over into cfg. One line on report (NULL: none) for each key that differs, with
 * its two values or "needs a restart". Returns the number of keys that changed. */
unsigned config_reload(struct config *cfg, const struct config *fresh, FILE *report);

#endif
