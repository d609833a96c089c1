/* Holds the texts of the tables to the rules of plain English that a program can check. Help is whole sentences, each
 * of which stands alone; the text of an error is a clause, since it stands inside a line of the log, of a command or of
 * WWW-Authenticate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What a help must say: a name for the unit of its value. */
enum help_kind { HELP_PLAIN, HELP_NUMBER, HELP_BYTES, HELP_TIME };

/* These need something before them to be understood. */
static const char *const help_leaning[] = {"It",   "Its",   "They",  "Their",    "Those", "These", "This", "That",
                                           "What", "Which", "Whose", "Whoever",  "Who",   "Else",  "Then", "So",
                                           "And",  "Or",    "But",   "The same", "As",    "Also"};

static bool help_begins_with(const char *sentence, const char *words)
{
    size_t len = strlen(words);
    return strncmp(sentence, words, len) == 0 && !isalnum((unsigned char)sentence[len]) && sentence[len] != '-';
}

/* A sentence of the text that leans on what stands before it, or NULL. */
static const char *help_leans(const char *text)
{
    for (const char *at = text; at; at = strstr(at, ". ") ? strstr(at, ". ") + 2 : NULL)
        for (size_t i = 0; i < sizeof help_leaning / sizeof help_leaning[0]; i++)
            if (help_begins_with(at, help_leaning[i]))
                return at;
    return NULL;
}

static bool help_has_unit(enum help_kind kind, const char *help)
{
    switch (kind) {
    case HELP_NUMBER:
        return strstr(help, "Number of");
    case HELP_BYTES:
        return strstr(help, "Bytes");
    case HELP_TIME:
        return strstr(help, "Time ") || strstr(help, " time ");
    default:
        return true;
    }
}

/* What is wrong with a help, or NULL. */
static const char *help_fault(enum help_kind kind, const char *help)
{
    size_t len = strlen(help);
    if (!len || help[len - 1] != '.')
        return "does not end with a period";
    if (!isupper((unsigned char)*help) && !isdigit((unsigned char)*help))
        return "does not begin with a capital";
    if (help_leans(help))
        return "has a sentence that leans on another";
    if (strstr(help, "  ") || strstr(help, " ."))
        return "has a stray space";
    return help_has_unit(kind, help) ? NULL : "does not name its unit";
}

/* What is wrong with the text of an error, or NULL. The name of a header may stand first. */
static const char *help_clause_fault(const char *text)
{
    size_t len = strlen(text), word = strcspn(text, " ");
    bool header = memchr(text, '-', word) || help_begins_with(text, "Authorization");
    if (!len || text[len - 1] == '.' || text[len - 1] == ' ')
        return "is no clause without a period";
    if (isupper((unsigned char)*text) && !header)
        return "begins with a capital";
    if (help_begins_with(text, "it") || help_begins_with(text, "its") || help_leans(text))
        return "does not name its subject";
    return strchr(text, '"') || strchr(text, '\\') ? "cannot stand in WWW-Authenticate" : NULL;
}

static unsigned help_report(const char *name, const char *text, const char *fault)
{
    if (fault)
        fprintf(stderr, "%s %s: %s\n", name, fault, text);
    return fault != NULL;
}

static void keys(void **state)
{
    unsigned faults = 0;
    (void)state;
#define CHECK(section, key, kind, help)                                                                                \
    faults += help_report("[" #section "] " #key, help, help_fault(HELP_##kind, help));
#define TEXT(section, key, def, min, max, reload, help) CHECK(section, key, PLAIN, help)
#define FORM(section, key, def, min, max, reload, form, help) CHECK(section, key, PLAIN, help)
#define ADDRESS(section, key, def, reload, help) CHECK(section, key, PLAIN, help)
#define WORD(value, text)
#define CHOICE(section, key, def, words, reload, help) CHECK(section, key, PLAIN, help)
#define NUMBER(section, key, def, min, max, reload, help) CHECK(section, key, NUMBER, help)
#define SIZE(section, key, def, min, max, reload, help) CHECK(section, key, BYTES, help)
#define DURATION(section, key, def, min, max, reload, help) CHECK(section, key, TIME, help)
#include "common/config.def"
#undef CHECK
    assert_int_equal(faults, 0);
}

/* A number of seconds or bytes says so in its name, and in its help. */
static const char *metric_fault(const char *name, const char *help)
{
    if (strstr(name, "_seconds") && !strstr(help, "in seconds"))
        return "does not say seconds";
    if (strstr(name, "_bytes") && !strstr(help, "Bytes"))
        return "does not say bytes";
    return help_fault(HELP_PLAIN, help);
}

static void metrics(void **state)
{
    unsigned faults = 0;
    (void)state;
#define VALUE(label, ID, text)
#define LABEL(ID, name, values)
#define CHECK(name, help) faults += help_report(name, help, metric_fault(name, help));
#define COUNTER(of, how, ID, name, unit, a, b, c, help) CHECK(name, help)
#define GAUGE(of, how, ID, name, unit, a, b, c, help) CHECK(name, help)
#define HISTOGRAM(of, how, ID, name, unit, a, help) CHECK(name, help)
#define DETAIL(of, ID, count)
#include "common/metrics.def"
    assert_int_equal(faults, 0);
}

/* Only the rows that stand for "no error" have no text. */
static unsigned error_faults(const char *name, const char *text)
{
    bool none = strcmp(name, "NONE") == 0 || strcmp(name, "GOOD") == 0;
    return none ? *text != '\0' : help_report(name, text, help_clause_fault(text));
}

static void errors(void **state)
{
    unsigned faults = 0;
    (void)state;
#define X(name, status, class, retry_after, text) faults += error_faults(#name, text);
#include "common/errors.def"
#undef X
#define X(name, error, text) faults += error_faults(#name, text);
#include "common/token.def"
#undef X
    assert_int_equal(faults, 0);
}

/* The rules find what they are for. */
static void faulty_help(void **state)
{
    static const struct {
        enum help_kind kind;
        const char *help;
    } bad[] = {{HELP_PLAIN, ""},
               {HELP_PLAIN, "Folder of the databases"},
               {HELP_PLAIN, "folder of the databases."},
               {HELP_PLAIN, "It is the folder of the databases."},
               {HELP_PLAIN, "Folder of the databases. Those of others are refused."},
               {HELP_BYTES, "The same, in bytes."},
               {HELP_PLAIN, "What a slow request is."},
               {HELP_PLAIN, "Folder  of the databases."},
               {HELP_NUMBER, "Connections of one router."},
               {HELP_BYTES, "Largest request body."},
               {HELP_TIME, "A long-poll without news is answered 204 after this."}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(help_fault(bad[i].kind, bad[i].help));
    assert_null(help_fault(HELP_NUMBER, "Number of connections. Items past this are refused."));
    assert_non_null(metric_fault("commit_seconds", "What a turn's transaction took."));
    assert_non_null(metric_fault("database_bytes", "Size of the database."));
    assert_non_null(help_clause_fault("it is gone"));
    assert_non_null(help_clause_fault("The stream is gone"));
    assert_non_null(help_clause_fault("the stream is gone."));
    assert_null(help_clause_fault("Stream-TTL must be a whole number"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(metrics),
        cmocka_unit_test(errors),
        cmocka_unit_test(faulty_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
