/* The configuration from text to struct config, and back.
 *
 * config.def is the only list of keys. The table of rows below is made from it, and everything walks that table:
 * defaults, parsing, ranges, help, the printed configuration, reloads. A new key is one line there.
 *
 * Happy path: config_init() sets the defaults, a file and each --set overwrite them, config_check() looks at what
 * several keys must be together. The supervisor prints the result and hands that text to its children, so that all
 * processes read the same values.
 *
 * Failure modes: reading goes on after an error, so that one start names every mistake: file, line, section and key,
 * what was expected, what was found. A value that is wrong leaves the default in place; the caller sees the count of
 * errors and does not start. A reload with errors changes nothing. */
#include "common/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/escape.h"
#include "common/form.h"
#include "common/ini.h"
#include "common/mem.h"
#include "common/spelling.h"

#define GOT_MAX 200 /* bytes of a wrong value that are told */

enum row_kind { KIND_NUMBER, KIND_SIZE, KIND_DURATION, KIND_TEXT, KIND_CHOICE, KIND_ADDRESS };

struct row {
    const char *section, *key;
    enum row_kind kind;
    const char *def;
    const char *min, *max; /* as written in the table */
    bool reloadable;
    const char *help;
    size_t offset;            /* of the field in struct config */
    const struct form *form;  /* of a TEXT, or NULL */
    const char *const *words; /* of a CHOICE */
};

#define ROW(section, key, kind, def, min, max, reload, help)                                                           \
    {#section, #key, kind, def, min, max, reload, help, offsetof(struct config, section##_##key), NULL, NULL},
#define NUMBER(section, key, def, min, max, reload, help) ROW(section, key, KIND_NUMBER, def, #min, #max, reload, help)
#define SIZE(section, key, def, min, max, reload, help) ROW(section, key, KIND_SIZE, def, min, max, reload, help)
#define DURATION(section, key, def, min, max, reload, help)                                                            \
    ROW(section, key, KIND_DURATION, def, min, max, reload, help)
#define TEXT(section, key, def, min, max, reload, help) ROW(section, key, KIND_TEXT, def, #min, #max, reload, help)
#define FORM(section, key, def, min, max, reload, form, help)                                                          \
    {#section,     #key, KIND_TEXT, def, #min, #max, reload, help, offsetof(struct config, section##_##key),           \
     &form_##form, NULL},
#define CHOICE(section, key, def, words, reload, help)                                                                 \
    {#section,                                                                                                         \
     #key,                                                                                                             \
     KIND_CHOICE,                                                                                                      \
     def,                                                                                                              \
     "",                                                                                                               \
     "",                                                                                                               \
     reload,                                                                                                           \
     help,                                                                                                             \
     offsetof(struct config, section##_##key),                                                                         \
     NULL,                                                                                                             \
     choice_##section##_##key},
#define ADDRESS(section, key, def, reload, help) ROW(section, key, KIND_ADDRESS, def, "", "", reload, help)

static const struct row config_rows[] = {
#include "common/config.def"
};

#define ROW_COUNT (sizeof config_rows / sizeof config_rows[0])

static const struct {
    const char *section, *old, *now;
} config_renamed[] = {
#define RENAMED(section, old, now) {#section, #old, #now},
#include "common/config_renamed.def"
#undef RENAMED
};

/* Units from the smallest; a value is printed in the largest that divides it. */
struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit config_no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit config_size_units[] = {{"", 1}, {"K", 1u << 10}, {"M", 1u << 20}, {"G", 1u << 30}, {NULL, 0}};
static const struct unit config_time_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};

/* What is known while one file, text or --set is read. */
struct reading {
    struct config *cfg;
    const char *name;
    unsigned line; /* 0: no lines here (--set) */
    bool seen[ROW_COUNT];
    unsigned errors;
    FILE *out;
};

static bool config_row_is_text(const struct row *row)
{
    return row->kind == KIND_TEXT || row->kind == KIND_ADDRESS;
}

static uint64_t *config_row_number(const struct row *row, const struct config *cfg)
{
    return (uint64_t *)((char *)(uintptr_t)cfg + row->offset);
}

static char **config_row_text(const struct row *row, const struct config *cfg)
{
    return (char **)((char *)(uintptr_t)cfg + row->offset);
}

/* Every enum of choices.h is stored like an unsigned. */
static unsigned *config_row_choice(const struct row *row, const struct config *cfg)
{
    return (unsigned *)((char *)(uintptr_t)cfg + row->offset);
}

static const struct unit *config_row_units(const struct row *row)
{
    if (row->kind == KIND_SIZE)
        return config_size_units;
    return row->kind == KIND_DURATION ? config_time_units : config_no_units;
}

/* Digits and one unit, nothing else: no sign, no space, no overflow. */
static bool config_number_parse(const char *text, const struct unit *units, uint64_t *value)
{
    uint64_t n = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return false;
    if (p == text)
        return false;
    for (; units->name; units++)
        if (strcmp(p, units->name) == 0)
            return !__builtin_mul_overflow(n, units->factor, value);
    return false;
}

bool config_duration(const char *text, uint64_t *ms)
{
    return config_number_parse(text, config_time_units, ms);
}

static bool config_number_fits(const struct row *row, const char *text, uint64_t *value)
{
    const struct unit *units = config_row_units(row);
    uint64_t min, max;
    return config_number_parse(row->min, units, &min) && config_number_parse(row->max, units, &max) &&
           config_number_parse(text, units, value) && *value >= min && *value <= max;
}

static bool config_is_quoted(const char *text, size_t len)
{
    return len >= 2 && (text[0] == '"' || text[0] == '\'') && text[len - 1] == text[0];
}

/* The thing that no text may have, or NULL: a printed configuration reads back and holds no comments. */
static const char *config_text_wrong(const char *text)
{
    size_t len = strlen(text);
    if (len && (text[0] == ' ' || text[len - 1] == ' '))
        return "no space at its ends";
    if (config_is_quoted(text, len))
        return "no quotes around it";
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            return "no control characters";
        if (text[i] == '#' && (i == 0 || text[i - 1] == ' '))
            return "no \" #\", which begins no comment behind a value (\" ;\" does)";
        if (text[i] == ';' && (i == 0 || text[i - 1] == ' '))
            return "no \" ;\", which begins a comment in a file";
    }
    return NULL;
}

static bool config_text_fits(const struct row *row, const char *text)
{
    struct address ignored;
    size_t len = strlen(text);
    if (row->kind == KIND_ADDRESS)
        return (!*text && !*row->def) || address_parse(text, &ignored);
    return len >= strtoul(row->min, NULL, 10) && len <= strtoul(row->max, NULL, 10) && !config_text_wrong(text) &&
           (!len || !row->form || row->form->fits(text));
}

static bool config_row_set_choice(const struct row *row, struct config *cfg, const char *word)
{
    int found = choice_find(row->words, slice_str(word));
    if (found >= 0)
        *config_row_choice(row, cfg) = (unsigned)found;
    return found >= 0;
}

/* Stores the value if it is allowed. */
static bool config_row_set(const struct row *row, struct config *cfg, const char *value)
{
    uint64_t number;
    if (row->kind == KIND_CHOICE)
        return config_row_set_choice(row, cfg, value);
    if (config_row_is_text(row)) {
        if (!config_text_fits(row, value))
            return false;
        free(*config_row_text(row, cfg));
        *config_row_text(row, cfg) = xstrdup(value);
        return true;
    }
    if (!config_number_fits(row, value, &number))
        return false;
    *config_row_number(row, cfg) = number;
    return true;
}

/* What the row allows, to be read after "expected" or in the help. */
static void config_row_print_range(const struct row *row, FILE *out)
{
    switch (row->kind) {
    case KIND_NUMBER:
        fprintf(out, "a whole number from %s to %s", row->min, row->max);
        break;
    case KIND_SIZE:
        fprintf(out, "a size from %s to %s (bytes, or with K, M or G)", row->min, row->max);
        break;
    case KIND_DURATION:
        fprintf(out, "a duration from %s to %s (with ms, s, m or h)", row->min, row->max);
        break;
    case KIND_TEXT:
        fprintf(out, "a text of %s to %s bytes%s%s", row->min, row->max, row->form ? ": " : "",
                row->form ? row->form->expected : "");
        break;
    case KIND_CHOICE:
        fputs("one of:", out);
        for (const char *const *word = row->words; *word; word++)
            fprintf(out, " %s", *word);
        break;
    case KIND_ADDRESS:
        fprintf(out, "host:port or [v6]:port");
        break;
    }
}

static void config_row_print_value(const struct row *row, const struct config *cfg, FILE *out)
{
    if (config_row_is_text(row)) {
        fputs(*config_row_text(row, cfg), out);
        return;
    }
    if (row->kind == KIND_CHOICE) {
        fputs(row->words[*config_row_choice(row, cfg)], out);
        return;
    }
    uint64_t value = *config_row_number(row, cfg);
    const struct unit *best = config_row_units(row);
    for (const struct unit *u = best; u->name && value; u++)
        if (value % u->factor == 0)
            best = u;
    fprintf(out, "%llu%s", (unsigned long long)(value / best->factor), best->name);
}

static bool config_row_equal(const struct row *row, const struct config *a, const struct config *b)
{
    if (config_row_is_text(row))
        return strcmp(*config_row_text(row, a), *config_row_text(row, b)) == 0;
    if (row->kind == KIND_CHOICE)
        return *config_row_choice(row, a) == *config_row_choice(row, b);
    return *config_row_number(row, a) == *config_row_number(row, b);
}

void config_init(struct config *cfg)
{
    memset(cfg, 0, sizeof *cfg);
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (!config_row_set(&config_rows[i], cfg, config_rows[i].def))
            abort(); /* config.def contradicts itself; the unit test finds it */
}

void config_clear(struct config *cfg)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (config_row_is_text(&config_rows[i]))
            free(*config_row_text(&config_rows[i], cfg));
    memset(cfg, 0, sizeof *cfg);
}

static void config_error_begin(struct reading *r)
{
    r->errors++;
    if (r->line)
        fprintf(r->out, "%s:%u: ", r->name, r->line);
    else
        fprintf(r->out, "%s: ", r->name);
}

/* The text that was found, cut if it is long. */
static void config_print_found(struct slice found, FILE *out)
{
    char safe[GOT_MAX * ESCAPE_GROWTH];
    bool whole = found.len <= GOT_MAX;
    size_t len = escape_plain(safe, sizeof safe, slice_of(found.data, whole ? found.len : GOT_MAX));
    fprintf(out, "%.*s%s", (int)len, safe, whole ? "" : "...");
}

static void config_error_unknown_section(struct reading *r, struct slice section)
{
    const char *last = "", *near = NULL;
    for (size_t i = 0; i < ROW_COUNT && !near; i++)
        if (spelling_near(section, slice_str(config_rows[i].section)))
            near = config_rows[i].section;
    fputs("unknown section; ", r->out);
    if (near)
        fprintf(r->out, "did you mean [%s]? ", near);
    fputs("expected one of:", r->out);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(config_rows[i].section, last) != 0)
            fprintf(r->out, " %s", config_rows[i].section);
        last = config_rows[i].section;
    }
    fputc('\n', r->out);
}

/* Names the sections that have such a key. False: none has. */
static bool config_error_other_section(struct reading *r, struct slice key)
{
    bool found = false;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!slice_equal(slice_str(config_rows[i].key), key))
            continue;
        fprintf(r->out, "%s [%s]", found ? " or" : "expected in", config_rows[i].section);
        found = true;
    }
    return found;
}

/* A key that was renamed is refused with its new name (config_renamed.def): an old file must not lose a setting
 * silently. */
static bool config_error_renamed_key(struct reading *r, struct slice section, struct slice key)
{
    for (size_t i = 0; i < sizeof config_renamed / sizeof config_renamed[0]; i++)
        if (slice_equal(slice_str(config_renamed[i].section), section) &&
            slice_equal(slice_str(config_renamed[i].old), key)) {
            fprintf(r->out, "this key has a new name; expected %s\n", config_renamed[i].now);
            return true;
        }
    return false;
}

static void config_error_unknown_key(struct reading *r, struct slice section, struct slice key)
{
    if (config_error_renamed_key(r, section, key))
        return;
    fputs("unknown key; ", r->out);
    if (config_error_other_section(r, key)) {
        fputc('\n', r->out);
        return;
    }
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (slice_equal(slice_str(config_rows[i].section), section) &&
            spelling_near(key, slice_str(config_rows[i].key))) {
            fprintf(r->out, "did you mean %s? ", config_rows[i].key);
            break;
        }
    fputs("expected one of:", r->out);
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (slice_equal(slice_str(config_rows[i].section), section))
            fprintf(r->out, " %s", config_rows[i].key);
    fputc('\n', r->out);
}

static const struct row *config_row_find(struct slice section, struct slice key)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (slice_equal(slice_str(config_rows[i].section), section) && slice_equal(slice_str(config_rows[i].key), key))
            return &config_rows[i];
    return NULL;
}

static void config_error_value(struct reading *r, const struct row *row, const char *value)
{
    const char *wrong = config_text_wrong(value);
    fputs("expected ", r->out);
    if (wrong)
        fputs(wrong, r->out);
    else
        config_row_print_range(row, r->out);
    fputs(", got \"", r->out);
    config_print_found(slice_str(value), r->out);
    fputs("\"\n", r->out);
}

/* `section` is a known one. */
static void config_reading_take(struct reading *r, struct slice section, struct slice key, struct slice text)
{
    const struct row *row = config_row_find(section, key);
    /* `seen` is of one file or --set: a later file may set a key again. */
    bool duplicate = row && r->seen[row - config_rows];
    char *value = xslicedup(text);
    if (row)
        r->seen[row - config_rows] = true;
    if (!row || duplicate || !config_row_set(row, r->cfg, value)) {
        config_error_begin(r);
        fprintf(r->out, "[%.*s] ", (int)section.len, section.data);
        config_print_found(key, r->out);
        fputs(": ", r->out);
        if (!row)
            config_error_unknown_key(r, section, key);
        else if (duplicate)
            fputs("given twice; expected once in a file\n", r->out);
        else
            config_error_value(r, row, value);
    }
    free(value);
}

static bool config_section_known(struct slice section)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (slice_equal(slice_str(config_rows[i].section), section))
            return true;
    return false;
}

/* Keys below a section that nobody knows are passed over: one error is enough. */
static void config_take_section(struct reading *r, struct slice section)
{
    if (config_section_known(section))
        return;
    config_error_begin(r);
    fputc('[', r->out);
    config_print_found(section, r->out);
    fputs("]: ", r->out);
    config_error_unknown_section(r, section);
}

static void config_take_key(struct reading *r, struct slice section, const struct ini_item *item)
{
    if (!section.data) {
        config_error_begin(r);
        config_print_found(item->name, r->out);
        fputs(": expected a [section] before the first key\n", r->out);
    } else if (config_section_known(section)) {
        config_reading_take(r, section, item->name, item->value);
    }
}

unsigned config_read_text(struct config *cfg, const char *name, struct slice text, FILE *errors)
{
    struct reading r = {.cfg = cfg, .name = name, .out = errors};
    struct ini ini = {.rest = text};
    struct slice section = {0};
    struct ini_item item;
    while ((item = ini_next(&ini)).kind != INI_END) {
        r.line = ini.line;
        if (item.kind == INI_SECTION) {
            section = item.name;
            config_take_section(&r, section);
        } else if (item.kind == INI_KEY) {
            config_take_key(&r, section, &item);
        } else {
            config_error_begin(&r);
            fprintf(r.out, "expected %s\n", item.expected);
        }
    }
    return r.errors;
}

/* The whole of a file, which the caller frees. NULL: errno is set. */
static char *config_file_load(const char *path, size_t *len)
{
    /* One byte more than the limit is read: a file of exactly 1 MiB is still whole, a longer one is EFBIG. */
    const size_t limit = (size_t)1 << 20;
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    char *text = xmalloc(limit + 1);
    *len = fread(text, 1, limit + 1, file);
    bool good = !ferror(file) && *len <= limit;
    if (*len > limit)
        errno = EFBIG;
    int saved = errno;
    fclose(file);
    errno = saved;
    if (good)
        return text;
    free(text);
    return NULL;
}

unsigned config_read_file(struct config *cfg, const char *path, FILE *errors)
{
    size_t len;
    char *text = config_file_load(path, &len);
    if (!text) {
        fprintf(errors, "%s: cannot be read: %s\n", path, strerror(errno));
        return 1;
    }
    unsigned count = config_read_text(cfg, path, slice_of(text, len), errors);
    free(text);
    return count;
}

unsigned config_set(struct config *cfg, const char *assignment, FILE *errors)
{
    struct reading r = {.cfg = cfg, .name = "--set", .out = errors};
    const char *equals = strchr(assignment, '=');
    const char *dot = strchr(assignment, '.');
    if (!equals || !dot || dot > equals) {
        fprintf(errors, "--set: expected section.key=value, got \"%s\"\n", assignment);
        return 1;
    }
    struct slice section = slice_of(assignment, (size_t)(dot - assignment));
    config_take_section(&r, section);
    if (!r.errors)
        config_reading_take(&r, section, slice_of(dot + 1, (size_t)(equals - dot - 1)), slice_str(equals + 1));
    return r.errors;
}

/* "[section]" before the first of its rows. */
static void config_print_section(size_t i, FILE *out)
{
    if (i > 0 && strcmp(config_rows[i].section, config_rows[i - 1].section) == 0)
        return;
    fprintf(out, "%s[%s]\n", i ? "\n" : "", config_rows[i].section);
}

void config_print(const struct config *cfg, FILE *out)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        config_print_section(i, out);
        fprintf(out, "%s = ", config_rows[i].key);
        config_row_print_value(&config_rows[i], cfg, out);
        fputc('\n', out);
    }
}

void config_print_example(FILE *out)
{
    fputs("# Every key of streamd with its default. `streamd example-config` prints this file.\n"
          "# `streamd --config FILE check` checks a file and prints the configuration in effect.\n"
          "# A value ends at the end of its line or before \" ;\", which begins a comment.\n"
          "# SIGHUP reloads the file; a key that cannot change while the server runs \"needs a restart\".\n\n",
          out);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        config_print_section(i, out);
        fprintf(out, "\n# %s\n# ", config_rows[i].help);
        config_row_print_range(&config_rows[i], out);
        fprintf(out, "%s\n#%s = %s\n", config_rows[i].reloadable ? "" : "; needs a restart", config_rows[i].key,
                config_rows[i].def);
    }
}

void config_print_help(FILE *out)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        fprintf(out, "  %s.%s=%s\n      %s\n      ", config_rows[i].section, config_rows[i].key, config_rows[i].def,
                config_rows[i].help);
        config_row_print_range(&config_rows[i], out);
        fprintf(out, "%s\n", config_rows[i].reloadable ? "" : "; needs a restart");
    }
}

static void config_row_report(const struct row *row, const struct config *cfg, const struct config *fresh, FILE *report)
{
    if (!report)
        return;
    fprintf(report, "[%s] %s: ", row->section, row->key);
    config_row_print_value(row, cfg, report);
    fputs(" -> ", report);
    config_row_print_value(row, fresh, report);
    fputs(row->reloadable ? "\n" : " needs a restart\n", report);
}

/* Both configurations own their texts, so a changed one is copied and the old one freed. */
static void config_row_take(const struct row *row, struct config *cfg, const struct config *fresh)
{
    if (row->kind == KIND_CHOICE) {
        *config_row_choice(row, cfg) = *config_row_choice(row, fresh);
    } else if (config_row_is_text(row)) {
        free(*config_row_text(row, cfg));
        *config_row_text(row, cfg) = xstrdup(*config_row_text(row, fresh));
    } else {
        *config_row_number(row, cfg) = *config_row_number(row, fresh);
    }
}

unsigned config_reload(struct config *cfg, const struct config *fresh, FILE *report)
{
    unsigned changed = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &config_rows[i];
        if (config_row_equal(row, cfg, fresh))
            continue;
        config_row_report(row, cfg, fresh, report);
        if (!row->reloadable)
            continue;
        config_row_take(row, cfg, fresh);
        changed++;
    }
    return changed;
}
