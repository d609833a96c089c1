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
#include "common/words.h"

#define GOT_MAX 200 /* bytes of a wrong value that are told */

enum row_kind { KIND_NUMBER, KIND_SIZE, KIND_DURATION, KIND_TEXT, KIND_CHOICE, KIND_ADDRESS };

struct row {
    const char *section, *key;
    enum row_kind kind;
    const char *def;
    const char *min, *max; /* as written in the table; CHOICE: min holds the words */
    bool reloadable;
    const char *help;
    size_t offset;           /* of the field in struct config */
    const struct form *form; /* of a TEXT, or NULL */
};

#define ROW(section, key, kind, def, min, max, reload, help)                                                           \
    {#section, #key, kind, def, min, max, reload, help, offsetof(struct config, section##_##key), NULL},
#define NUMBER(section, key, def, min, max, reload, help) ROW(section, key, KIND_NUMBER, def, #min, #max, reload, help)
#define SIZE(section, key, def, min, max, reload, help) ROW(section, key, KIND_SIZE, def, min, max, reload, help)
#define DURATION(section, key, def, min, max, reload, help)                                                            \
    ROW(section, key, KIND_DURATION, def, min, max, reload, help)
#define TEXT(section, key, def, min, max, reload, help) ROW(section, key, KIND_TEXT, def, #min, #max, reload, help)
#define FORM(section, key, def, min, max, reload, form, help)                                                          \
    {#section, #key, KIND_TEXT, def, #min, #max, reload, help, offsetof(struct config, section##_##key), &form_##form},
#define CHOICE(section, key, def, choices, reload, help) ROW(section, key, KIND_CHOICE, def, choices, "", reload, help)
#define ADDRESS(section, key, def, reload, help) ROW(section, key, KIND_ADDRESS, def, "", "", reload, help)

static const struct row rows[] = {
#include "common/config.def"
};

#define ROW_COUNT (sizeof rows / sizeof rows[0])

static const struct {
    const char *section, *old, *now;
} renamed[] = {
#define RENAMED(section, old, now) {#section, #old, #now},
#include "common/config_renamed.def"
#undef RENAMED
};

/* Units from the smallest; a value is printed in the largest that divides it. */
struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit size_units[] = {{"", 1}, {"K", 1u << 10}, {"M", 1u << 20}, {"G", 1u << 30}, {NULL, 0}};
static const struct unit time_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};

/* What is known while one file, text or --set is read. */
struct reading {
    struct config *cfg;
    const char *name;
    unsigned line; /* 0: no lines here (--set) */
    bool seen[ROW_COUNT];
    unsigned errors;
    FILE *out;
};

static bool row_is_text(const struct row *row)
{
    return row->kind == KIND_TEXT || row->kind == KIND_CHOICE || row->kind == KIND_ADDRESS;
}

static uint64_t *row_number(const struct row *row, const struct config *cfg)
{
    return (uint64_t *)((char *)(uintptr_t)cfg + row->offset);
}

static char **row_text(const struct row *row, const struct config *cfg)
{
    return (char **)((char *)(uintptr_t)cfg + row->offset);
}

static const struct unit *row_units(const struct row *row)
{
    if (row->kind == KIND_SIZE)
        return size_units;
    return row->kind == KIND_DURATION ? time_units : no_units;
}

/* Digits and one unit, nothing else: no sign, no space, no overflow. */
static bool number_parse(const char *text, const struct unit *units, uint64_t *value)
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
    return number_parse(text, time_units, ms);
}

static bool number_fits(const struct row *row, const char *text, uint64_t *value)
{
    const struct unit *units = row_units(row);
    uint64_t min, max;
    return number_parse(row->min, units, &min) && number_parse(row->max, units, &max) &&
           number_parse(text, units, value) && *value >= min && *value <= max;
}

static bool is_quoted(const char *text, size_t len)
{
    return len >= 2 && (text[0] == '"' || text[0] == '\'') && text[len - 1] == text[0];
}

/* The thing that no text may have, or NULL: a printed configuration reads back and holds no comments. */
static const char *text_wrong(const char *text)
{
    size_t len = strlen(text);
    if (len && (text[0] == ' ' || text[len - 1] == ' '))
        return "no space at its ends";
    if (is_quoted(text, len))
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

static bool text_fits(const struct row *row, const char *text)
{
    struct address ignored;
    size_t len = strlen(text);
    if (row->kind == KIND_CHOICE)
        return words_have(row->min, slice_str(text));
    if (row->kind == KIND_ADDRESS)
        return (!*text && !*row->def) || address_parse(text, &ignored);
    return len >= strtoul(row->min, NULL, 10) && len <= strtoul(row->max, NULL, 10) && !text_wrong(text) &&
           (!len || !row->form || row->form->fits(text));
}

/* Stores the value if it is allowed. */
static bool row_set(const struct row *row, struct config *cfg, const char *value)
{
    uint64_t number;
    if (row_is_text(row)) {
        if (!text_fits(row, value))
            return false;
        free(*row_text(row, cfg));
        *row_text(row, cfg) = xstrdup(value);
        return true;
    }
    if (!number_fits(row, value, &number))
        return false;
    *row_number(row, cfg) = number;
    return true;
}

/* What the row allows, to be read after "expected" or in the help. */
static void row_print_range(const struct row *row, FILE *out)
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
        fprintf(out, "one of: %s", row->min);
        break;
    case KIND_ADDRESS:
        fprintf(out, "host:port or [v6]:port");
        break;
    }
}

static void row_print_value(const struct row *row, const struct config *cfg, FILE *out)
{
    if (row_is_text(row)) {
        fputs(*row_text(row, cfg), out);
        return;
    }
    uint64_t value = *row_number(row, cfg);
    const struct unit *best = row_units(row);
    for (const struct unit *u = best; u->name && value; u++)
        if (value % u->factor == 0)
            best = u;
    fprintf(out, "%llu%s", (unsigned long long)(value / best->factor), best->name);
}

static bool row_equal(const struct row *row, const struct config *a, const struct config *b)
{
    if (row_is_text(row))
        return strcmp(*row_text(row, a), *row_text(row, b)) == 0;
    return *row_number(row, a) == *row_number(row, b);
}

void config_init(struct config *cfg)
{
    memset(cfg, 0, sizeof *cfg);
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (!row_set(&rows[i], cfg, rows[i].def))
            abort(); /* config.def contradicts itself; the unit test finds it */
}

void config_clear(struct config *cfg)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (row_is_text(&rows[i]))
            free(*row_text(&rows[i], cfg));
    memset(cfg, 0, sizeof *cfg);
}

static void error_begin(struct reading *r)
{
    r->errors++;
    if (r->line)
        fprintf(r->out, "%s:%u: ", r->name, r->line);
    else
        fprintf(r->out, "%s: ", r->name);
}

/* The text that was found, cut if it is long. */
static void print_found(struct slice found, FILE *out)
{
    char safe[GOT_MAX * ESCAPE_GROWTH];
    bool whole = found.len <= GOT_MAX;
    size_t len = escape_plain(safe, sizeof safe, slice_of(found.data, whole ? found.len : GOT_MAX));
    fprintf(out, "%.*s%s", (int)len, safe, whole ? "" : "...");
}

static void error_unknown_section(struct reading *r, struct slice section)
{
    const char *last = "", *near = NULL;
    for (size_t i = 0; i < ROW_COUNT && !near; i++)
        if (spelling_near(section, slice_str(rows[i].section)))
            near = rows[i].section;
    fputs("unknown section; ", r->out);
    if (near)
        fprintf(r->out, "did you mean [%s]? ", near);
    fputs("expected one of:", r->out);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].section, last) != 0)
            fprintf(r->out, " %s", rows[i].section);
        last = rows[i].section;
    }
    fputc('\n', r->out);
}

/* Names the sections that have such a key. False: none has. */
static bool error_other_section(struct reading *r, struct slice key)
{
    bool found = false;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!slice_equal(slice_str(rows[i].key), key))
            continue;
        fprintf(r->out, "%s [%s]", found ? " or" : "expected in", rows[i].section);
        found = true;
    }
    return found;
}

static bool error_renamed_key(struct reading *r, struct slice section, struct slice key)
{
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++)
        if (slice_equal(slice_str(renamed[i].section), section) && slice_equal(slice_str(renamed[i].old), key)) {
            fprintf(r->out, "this key has a new name; expected %s\n", renamed[i].now);
            return true;
        }
    return false;
}

static void error_unknown_key(struct reading *r, struct slice section, struct slice key)
{
    if (error_renamed_key(r, section, key))
        return;
    fputs("unknown key; ", r->out);
    if (error_other_section(r, key)) {
        fputc('\n', r->out);
        return;
    }
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (slice_equal(slice_str(rows[i].section), section) && spelling_near(key, slice_str(rows[i].key))) {
            fprintf(r->out, "did you mean %s? ", rows[i].key);
            break;
        }
    fputs("expected one of:", r->out);
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (slice_equal(slice_str(rows[i].section), section))
            fprintf(r->out, " %s", rows[i].key);
    fputc('\n', r->out);
}

static const struct row *row_find(struct slice section, struct slice key)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (slice_equal(slice_str(rows[i].section), section) && slice_equal(slice_str(rows[i].key), key))
            return &rows[i];
    return NULL;
}

static void error_value(struct reading *r, const struct row *row, const char *value)
{
    const char *wrong = text_wrong(value);
    fputs("expected ", r->out);
    if (wrong)
        fputs(wrong, r->out);
    else
        row_print_range(row, r->out);
    fputs(", got \"", r->out);
    print_found(slice_str(value), r->out);
    fputs("\"\n", r->out);
}

/* `section` is a known one. */
static void reading_take(struct reading *r, struct slice section, struct slice key, struct slice text)
{
    const struct row *row = row_find(section, key);
    bool duplicate = row && r->seen[row - rows];
    char *value = xslicedup(text);
    if (row)
        r->seen[row - rows] = true;
    if (!row || duplicate || !row_set(row, r->cfg, value)) {
        error_begin(r);
        fprintf(r->out, "[%.*s] ", (int)section.len, section.data);
        print_found(key, r->out);
        fputs(": ", r->out);
        if (!row)
            error_unknown_key(r, section, key);
        else if (duplicate)
            fputs("given twice; expected once in a file\n", r->out);
        else
            error_value(r, row, value);
    }
    free(value);
}

static bool section_known(struct slice section)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (slice_equal(slice_str(rows[i].section), section))
            return true;
    return false;
}

/* Keys below a section that nobody knows are passed over: one error is enough. */
static void take_section(struct reading *r, struct slice section)
{
    if (section_known(section))
        return;
    error_begin(r);
    fputc('[', r->out);
    print_found(section, r->out);
    fputs("]: ", r->out);
    error_unknown_section(r, section);
}

static void take_key(struct reading *r, struct slice section, const struct ini_item *item)
{
    if (!section.data) {
        error_begin(r);
        print_found(item->name, r->out);
        fputs(": expected a [section] before the first key\n", r->out);
    } else if (section_known(section)) {
        reading_take(r, section, item->name, item->value);
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
            take_section(&r, section);
        } else if (item.kind == INI_KEY) {
            take_key(&r, section, &item);
        } else {
            error_begin(&r);
            fprintf(r.out, "expected %s\n", item.expected);
        }
    }
    return r.errors;
}

/* The whole of a file, which the caller frees. NULL: errno is set. */
static char *file_load(const char *path, size_t *len)
{
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
    char *text = file_load(path, &len);
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
    take_section(&r, section);
    if (!r.errors)
        reading_take(&r, section, slice_of(dot + 1, (size_t)(equals - dot - 1)), slice_str(equals + 1));
    return r.errors;
}

/* "[section]" before the first of its rows. */
static void print_section(size_t i, FILE *out)
{
    if (i > 0 && strcmp(rows[i].section, rows[i - 1].section) == 0)
        return;
    fprintf(out, "%s[%s]\n", i ? "\n" : "", rows[i].section);
}

void config_print(const struct config *cfg, FILE *out)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        print_section(i, out);
        fprintf(out, "%s = ", rows[i].key);
        row_print_value(&rows[i], cfg, out);
        fputc('\n', out);
    }
}

void config_print_example(FILE *out)
{
    fputs("# Every key of streamd with its default. Written by `streamd example-config`.\n"
          "# `streamd --config FILE check` tells whether a file is right and prints what is in effect.\n"
          "# A value ends with its line, which may have any length, or where \" ;\" begins a comment.\n"
          "# SIGHUP reads the file again; what it cannot change while running says \"needs a restart\".\n\n",
          out);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        print_section(i, out);
        fprintf(out, "\n# %s\n# ", rows[i].help);
        row_print_range(&rows[i], out);
        fprintf(out, "%s\n#%s = %s\n", rows[i].reloadable ? "" : "; needs a restart", rows[i].key, rows[i].def);
    }
}

void config_print_help(FILE *out)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        fprintf(out, "  %s.%s=%s\n      %s\n      ", rows[i].section, rows[i].key, rows[i].def, rows[i].help);
        row_print_range(&rows[i], out);
        fprintf(out, "%s\n", rows[i].reloadable ? "" : "; needs a restart");
    }
}

static void row_report(const struct row *row, const struct config *cfg, const struct config *fresh, FILE *report)
{
    if (!report)
        return;
    fprintf(report, "[%s] %s: ", row->section, row->key);
    row_print_value(row, cfg, report);
    fputs(" -> ", report);
    row_print_value(row, fresh, report);
    fputs(row->reloadable ? "\n" : " needs a restart\n", report);
}

unsigned config_reload(struct config *cfg, const struct config *fresh, FILE *report)
{
    unsigned changed = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &rows[i];
        if (row_equal(row, cfg, fresh))
            continue;
        row_report(row, cfg, fresh, report);
        if (!row->reloadable)
            continue;
        if (row_is_text(row)) {
            free(*row_text(row, cfg));
            *row_text(row, cfg) = xstrdup(*row_text(row, fresh));
        } else {
            *row_number(row, cfg) = *row_number(row, fresh);
        }
        changed++;
    }
    return changed;
}
