/* A project's configuration between its JSON text and struct project:
 *
 *     {"signingSecrets": ["..."], "corsOrigins": ["https://a.example"], "isPublic": false,
 *      "jwks": {"keys": [...]}, "jwksUrl": "https://...", "quotas": {...}, "retention": {"seconds": 60, "bytes": 1000}}
 *
 * The text is a client's (PUT /v1/config, strict) or the registry's (not strict). Both pass the same checks: members
 * by name, each once, no unknown ones, every list bounded, every secret long enough. Strict also holds origins to
 * their form and every key of a set to be usable: rules may become stricter, and a project that was stored before
 * must still load.
 *
 * Failure modes: the first fault ends the reading; the detail names its member and its value, except for secrets,
 * which no text repeats. A project that failed is cleared, so nothing of it is left to free. */
#include "common/project.h"

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/document.h"
#include "common/mem.h"

bool project_name_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool good = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!good)
            return false;
    }
    return name.len > 0 && name.len <= PROJECT_NAME_MAX;
}

/* ---- lists of texts ---- */

bool texts_have(const struct texts *texts, struct slice text)
{
    for (size_t i = 0; i < texts->count; i++)
        if (slice_equal(slice_str(texts->items[i]), text))
            return true;
    return false;
}

void texts_add(struct texts *texts, struct slice text)
{
    texts->items = xrealloc(texts->items, (texts->count + 1) * sizeof *texts->items);
    texts->items[texts->count++] = xslicedup(text);
}

bool texts_remove(struct texts *texts, struct slice text)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (!slice_equal(slice_str(texts->items[i]), text))
            continue;
        free(texts->items[i]);
        memmove(texts->items + i, texts->items + i + 1, (--texts->count - i) * sizeof *texts->items);
        return true;
    }
    return false;
}

void texts_clear(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        /* Some of these lists are signing secrets: none stays in memory that was freed. */
        explicit_bzero(texts->items[i], strlen(texts->items[i]));
        free(texts->items[i]);
    }
    free(texts->items);
    *texts = (struct texts){0};
}

/* ---- the fields ---- */

static bool project_secret_valid(const char *secret)
{
    size_t len = strlen(secret);
    return len >= PROJECT_SECRET_MIN && len <= PROJECT_SECRET_MAX;
}

bool project_origin_valid(const char *origin)
{
    return strcmp(origin, "*") == 0 || (strlen(origin) <= PROJECT_ORIGIN_MAX && origin_valid(slice_str(origin)));
}

bool project_origins_valid(const struct texts *origins)
{
    return origins->count < 2 || !texts_have(origins, SLICE("*"));
}

static bool project_any_text(const char *text)
{
    (void)text;
    return true;
}

struct texts_rule {
    const char *field, *expected;
    size_t min, max;
    bool (*valid)(const char *text);
};

#define SECRETS "1 to 16 different texts of 32 to 512 bytes"

static const struct texts_rule project_secrets_rule = {"signingSecrets", SECRETS, 1, PROJECT_SECRETS_MAX,
                                                       project_secret_valid};
static const struct texts_rule project_origins_rule = {
    "corsOrigins", "* alone, or up to 64 different origins of up to 256 bytes, each " ORIGIN_RULE, 0,
    PROJECT_ORIGINS_MAX, project_origin_valid};
static const struct texts_rule project_kept_origins_rule = {"corsOrigins", "up to 64 different texts", 0,
                                                            PROJECT_ORIGINS_MAX, project_any_text};

/* "", or what is wrong with an item. A text may be a secret: its place is named instead. */
static const char *project_item_fault(const cJSON *item, const struct texts_rule *rule, const struct texts *before)
{
    if (!cJSON_IsString(item))
        return "is no text";
    if (!rule->valid(item->valuestring))
        return "does not fit";
    if (texts_have(before, slice_str(item->valuestring)))
        return "came before";
    return before->count == rule->max ? "is one too many" : "";
}

static enum error project_read_texts(const cJSON *array, const struct texts_rule *rule, struct texts *texts,
                                     struct detail *detail)
{
    const cJSON *item;
    size_t number = 0;
    if (!array)
        return ERR_NONE;
    if (!cJSON_IsArray(array) || (size_t)cJSON_GetArraySize(array) < rule->min)
        return detail_say(detail, ERR_INVALID_CONFIG, "%s must be a list of %s", rule->field, rule->expected);
    cJSON_ArrayForEach(item, array)
    {
        const char *fault = project_item_fault(item, rule, texts);
        number++;
        if (*fault)
            return detail_say(detail, ERR_INVALID_CONFIG, "%s must be %s: item %zu %s", rule->field, rule->expected,
                              number, fault);
        texts_add(texts, slice_str(item->valuestring));
    }
    return ERR_NONE;
}

static enum error project_read_origins(const cJSON *array, bool strict, struct project *project, struct detail *detail)
{
    enum error error = project_read_texts(array, strict ? &project_origins_rule : &project_kept_origins_rule,
                                          &project->origins, detail);
    if (error != ERR_NONE || !strict || project_origins_valid(&project->origins))
        return error;
    return detail_say(detail, ERR_INVALID_CONFIG, "corsOrigins must be * alone, or origins without *");
}

/* ---- public keys and numbers ---- */

_Static_assert(PROJECT_KEYS_MAX == 16, "spelled out in what is expected");

static enum error project_read_keys(const cJSON *item, bool strict, struct project *project, struct detail *detail)
{
    if (!item || cJSON_IsNull(item))
        return ERR_NONE;
    char *text = cJSON_PrintUnformatted(item);
    const char *wrong = jwks_parse(slice_str(text), PROJECT_KEYS_MAX, strict, &project->keys);
    project->jwks = wrong ? NULL : xstrdup(text);
    cJSON_free(text);
    return wrong ? detail_say(detail, ERR_INVALID_CONFIG, "jwks must be %s", wrong) : ERR_NONE;
}

static bool project_url_valid(const char *url)
{
    if (strlen(url) > PROJECT_URL_MAX || (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0))
        return false;
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return true;
}

static enum error project_read_url(const cJSON *item, struct project *project, struct detail *detail)
{
    const char *url = cJSON_GetStringValue(item);
    if (!item || cJSON_IsNull(item))
        return ERR_NONE;
    if (!url || !project_url_valid(url))
        return detail_say(detail, ERR_INVALID_CONFIG, "jwksUrl must be an http or https URL of up to %u bytes",
                          PROJECT_URL_MAX);
    project->jwks_url = xstrdup(url);
    return ERR_NONE;
}

/* An object of numbers, each a whole one from 1, is a struct of them; what it does not have is 0. */
struct number {
    const char *name;
    size_t at;
    uint64_t max;
};

struct numbers {
    const char *field, *names;
    struct number all[5]; /* the last one has no name */
};

#define NUMBER_MAX 0x1fffffffffffff /* every whole number up to here is a double */
#define AND(name, field) ", " name

static const struct numbers project_quota_rows = {"quotas",
#define QUOTA AND
                                                  PROJECT_QUOTAS,
#undef QUOTA
                                                  {
#define QUOTA(name, field) {name, offsetof(struct quotas, field), NUMBER_MAX},
                                                      PROJECT_QUOTAS
#undef QUOTA
                                                  }};

static const struct numbers project_retention = {
    "retention",
    ", seconds, bytes",
    {{"seconds", offsetof(struct retention, seconds), PROJECT_RETENTION_MAX_S},
     {"bytes", offsetof(struct retention, bytes), NUMBER_MAX}}};

static uint64_t *project_number_at(const void *all, const struct number *number)
{
    return (uint64_t *)(void *)((char *)(uintptr_t)all + number->at);
}

static enum error project_read_number(const cJSON *field, const struct numbers *numbers, void *all,
                                      struct detail *detail)
{
    const struct number *number = numbers->all;
    /* cJSON keeps numbers as doubles: NUMBER_MAX (2^53 - 1) is the last up to which each whole number is exact. */
    double value = cJSON_GetNumberValue(field); /* NaN if it is none */
    while (number->name && strcmp(number->name, field->string) != 0)
        number++;
    if (!number->name)
        return detail_say(detail, ERR_INVALID_CONFIG, "%s has an unknown field %s; expected are: %s", numbers->field,
                          detail_quote(slice_str(field->string)).text, numbers->names + 2);
    /* 0 stands for "no limit" and is never a valid value, so a number that is set means that the member came before. */
    if (*project_number_at(all, number))
        return detail_say(detail, ERR_INVALID_CONFIG, "%s has %s twice", numbers->field, number->name);
    if (!(value >= 1 && value <= (double)number->max) || (double)(uint64_t)value != value)
        return detail_say(detail, ERR_INVALID_CONFIG,
                          "%s.%s must be a whole number from 1 to %llu; leave it out for no limit", numbers->field,
                          number->name, (unsigned long long)number->max);
    *project_number_at(all, number) = (uint64_t)value;
    return ERR_NONE;
}

static enum error project_read_numbers(const cJSON *item, const struct numbers *numbers, void *all,
                                       struct detail *detail)
{
    const cJSON *field;
    enum error error = ERR_NONE;
    if (!item || cJSON_IsNull(item))
        return ERR_NONE;
    if (!cJSON_IsObject(item))
        return detail_say(detail, ERR_INVALID_CONFIG, "%s must be an object of: %s", numbers->field,
                          numbers->names + 2);
    cJSON_ArrayForEach(field, item)
    {
        if (error == ERR_NONE)
            error = project_read_number(field, numbers, all, detail);
    }
    return error;
}

static cJSON *project_print_numbers(const struct numbers *numbers, const void *all)
{
    cJSON *object = cJSON_CreateObject();
    for (const struct number *number = numbers->all; number->name; number++)
        if (*project_number_at(all, number))
            cJSON_AddNumberToObject(object, number->name, (double)*project_number_at(all, number));
    return object;
}

cJSON *project_quotas(const struct quotas *all)
{
    return project_print_numbers(&project_quota_rows, all);
}

/* ---- all of it ---- */

#define FIELDS                                                                                                         \
    FIELD("signingSecrets")                                                                                            \
    FIELD("corsOrigins")                                                                                               \
    FIELD("isPublic")                                                                                                  \
    FIELD("jwks") FIELD("jwksUrl") FIELD("quotas") FIELD("retention")

static enum error project_check_names(const cJSON *root, struct detail *detail)
{
#define FIELD(name) name,
    static const char *const names[] = {FIELDS};
#undef FIELD
#define FIELD(name) ", " name
    static const char expected[] = FIELDS;
#undef FIELD
    const char *unknown = document_unknown(root, names, sizeof names / sizeof names[0]), *twice = document_twice(root);
    if (!cJSON_IsObject(root))
        return detail_say(detail, ERR_INVALID_CONFIG, "the body must be a JSON object");
    if (unknown)
        return detail_say(detail, ERR_INVALID_CONFIG, "unknown field %s; expected are: %s",
                          detail_quote(slice_str(unknown)).text, expected + 2);
    return twice ? detail_say(detail, ERR_INVALID_CONFIG, "%s comes twice", twice) : ERR_NONE;
}

static enum error project_read_public(const cJSON *item, struct project *project, struct detail *detail)
{
    project->is_public = cJSON_IsTrue(item);
    return !item || cJSON_IsBool(item) ? ERR_NONE
                                       : detail_say(detail, ERR_INVALID_CONFIG, "isPublic must be true or false");
}

static enum error project_read_fields(const cJSON *root, bool strict, struct project *project, struct detail *detail)
{
    const cJSON *secrets = cJSON_GetObjectItemCaseSensitive(root, "signingSecrets");
    enum error error = project_check_names(root, detail);
    if (error == ERR_NONE)
        error = project_read_texts(secrets, &project_secrets_rule, &project->secrets, detail);
    if (error == ERR_NONE)
        error = project_read_origins(cJSON_GetObjectItemCaseSensitive(root, "corsOrigins"), strict, project, detail);
    if (error == ERR_NONE)
        error = project_read_public(cJSON_GetObjectItemCaseSensitive(root, "isPublic"), project, detail);
    if (error == ERR_NONE)
        error = project_read_keys(cJSON_GetObjectItemCaseSensitive(root, "jwks"), strict, project, detail);
    if (error == ERR_NONE)
        error = project_read_url(cJSON_GetObjectItemCaseSensitive(root, "jwksUrl"), project, detail);
    if (error == ERR_NONE)
        error = project_read_numbers(cJSON_GetObjectItemCaseSensitive(root, "quotas"), &project_quota_rows,
                                     &project->quotas, detail);
    if (error == ERR_NONE)
        error = project_read_numbers(cJSON_GetObjectItemCaseSensitive(root, "retention"), &project_retention,
                                     &project->retention, detail);
    if (error == ERR_NONE && !secrets) /* last, so that it hides nothing that is wrong */
        error =
            detail_say(detail, ERR_INVALID_CONFIG,
                       "signingSecrets is missing; expected " SECRETS ", also of a configuration that keeps its own");
    return error;
}

bool project_parse(struct slice json, bool strict, struct project *project, struct detail *detail)
{
    *project = (struct project){0};
    cJSON *root = document_parse(json);
    enum error error =
        root ? project_read_fields(root, strict, project, detail)
             : detail_say(detail, ERR_INVALID_CONFIG, "the body must be one JSON object in UTF-8, without \\u0000");
    cJSON_Delete(root);
    if (error != ERR_NONE)
        project_clear(project);
    return error == ERR_NONE;
}

static void project_add_texts(cJSON *root, const char *name, const struct texts *texts)
{
    cJSON *array = cJSON_AddArrayToObject(root, name);
    for (size_t i = 0; i < texts->count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateString(texts->items[i]));
}

void project_print(const struct project *project, struct buf *out)
{
    cJSON *root = cJSON_CreateObject();
    project_add_texts(root, project_secrets_rule.field, &project->secrets);
    project_add_texts(root, project_origins_rule.field, &project->origins);
    cJSON_AddBoolToObject(root, "isPublic", project->is_public);
    if (project->jwks)
        cJSON_AddRawToObject(root, "jwks", project->jwks);
    if (project->jwks_url)
        cJSON_AddStringToObject(root, "jwksUrl", project->jwks_url);
    if (project_has_quotas(&project->quotas))
        cJSON_AddItemToObject(root, "quotas", project_quotas(&project->quotas));
    if (project->retention.seconds || project->retention.bytes)
        cJSON_AddItemToObject(root, "retention", project_print_numbers(&project_retention, &project->retention));
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    buf_add(out, text, strlen(text));
    cJSON_free(text);
}

void project_clear(struct project *project)
{
    texts_clear(&project->secrets);
    texts_clear(&project->origins);
    jwks_clear(&project->keys);
    free(project->jwks);
    free(project->jwks_url);
    *project = (struct project){0};
}
