#include "tests/bench/options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

enum kind { KIND_TEXT, KIND_NUMBER, KIND_FLAG };

struct option {
    const char *name;
    enum kind kind;
    size_t field;
    const char *text;
    unsigned preset, min, max;
    const char *help;
};

static const struct option table[] = {
#define TEXT(name, preset, help) {#name, KIND_TEXT, offsetof(struct options, name), preset, 0, 0, 0, help},
#define NUMBER(name, preset, min, max, help)                                                                           \
    {#name, KIND_NUMBER, offsetof(struct options, name), #preset, preset, min, max, help},
#define FLAG(name, help) {#name, KIND_FLAG, offsetof(struct options, name), "", 0, 0, 0, help},
#include "tests/bench/options.def"
#undef TEXT
#undef NUMBER
#undef FLAG
};

#define OPTIONS (sizeof table / sizeof table[0])

static void set_text(struct options *options, const struct option *o, const char *value)
{
    memcpy((char *)options + o->field, &value, sizeof value);
}

static void set_number(struct options *options, const struct option *o, unsigned value)
{
    memcpy((char *)options + o->field, &value, sizeof value);
}

static void set_defaults(struct options *options)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 0; i < OPTIONS; i++) {
        if (table[i].kind == KIND_TEXT)
            set_text(options, &table[i], table[i].text);
        else if (table[i].kind == KIND_NUMBER)
            set_number(options, &table[i], table[i].preset);
    }
}

static unsigned parse_number(const struct option *o, const char *value)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || n < o->min || n > o->max)
        fatalx("--%s %s: a number from %u to %u is wanted", o->name, value, o->min, o->max);
    return (unsigned)n;
}

static bool same_name(const char *name, const char *given, size_t len)
{
    if (strlen(name) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] != (given[i] == '-' ? '_' : given[i]))
            return false;
    return true;
}

static const struct option *find(const char *given, size_t len)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (same_name(table[i].name, given, len))
            return &table[i];
    fatalx("no option --%.*s", (int)len, given);
}

void options_parse(struct options *options, int argc, char **argv)
{
    set_defaults(options);
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            fatalx("%s: an option begins with --", argv[i]);
        const char *name = argv[i] + 2;
        const char *value = strchr(name, '=');
        const struct option *o = find(name, value ? (size_t)(value - name) : strlen(name));
        if (o->kind == KIND_FLAG) {
            memcpy((char *)options + o->field, &(bool){true}, sizeof(bool));
            continue;
        }
        if (value)
            value++;
        else if (++i < argc)
            value = argv[i];
        else
            fatalx("--%s wants a value", o->name);
        if (o->kind == KIND_NUMBER)
            set_number(options, o, parse_number(o, value));
        else
            set_text(options, o, value);
    }
}

void options_help(FILE *to)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s", table[i].name);
        for (char *c = name; *c; c++)
            if (*c == '_')
                *c = '-';
        fprintf(to, "  --%-12s %s%s%s%s\n", name, table[i].help, *table[i].text ? " [" : "", table[i].text,
                *table[i].text ? "]" : "");
    }
}
