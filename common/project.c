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
        explicit_bzero(texts->items[i], strlen(texts->items[i]));
        free(texts->items[i]);
    }
    free(texts->items);
    *texts = (struct texts){0};
}

/* ---- the fields ---- */

static bool secret_valid(const char *secret)
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

static bool any_text(const char *text)
{
    (void)text;
    return true;
}

struct texts_rule {
    const char *field, *expected;
    size_t min, max;
    bool (*valid)(const char *text);
};

static const struct texts_rule secrets_rule = {"signingSecrets", "1 to 16 different texts of 32 to 512 bytes", 1,
                                               PROJECT_SECRETS_MAX, secret_valid};
static const struct texts_rule origins_rule = {"corsOrigins",
                                               "* alone, or up to 64 different origins of up to 256 bytes, each " ORIGIN_RULE, 0,
                                               PROJECT_ORIGINS_MAX, project_origin_valid};
static const struct texts_rule kept_origins_rule = {"corsOrigins", "up to 64 different texts", 0, PROJECT_ORIGINS_MAX,
                                                    any_text};

static bool read_texts(const cJSON *array, const struct texts_rule *rule, struct texts *texts)
{
    const cJSON *item;
    if (!array)
        return rule->min == 0;
    if (!cJSON_IsArray(array))
        return false;
    cJSON_ArrayForEach(item, array)
    {
        if (!cJSON_IsString(item) || !rule->valid(item->valuestring) || texts->count == rule->max ||
            texts_have(texts, slice_str(item->valuestring)))
            return false;
        texts_add(texts, slice_str(item->valuestring));
    }
    return texts->count >= rule->min;
}

/* ---- public keys and numbers ---- */

_Static_assert(PROJECT_KEYS_MAX == 16, "spelled out in what is expected");

/* NULL, or what was expected. */
static const char *read_keys(const cJSON *item, bool strict, struct project *project)
{
    if (!item || cJSON_IsNull(item))
        return NULL;
    char *text = cJSON_PrintUnformatted(item);
    const char *wrong = jwks_parse(slice_str(text), PROJECT_KEYS_MAX, strict, &project->keys);
    project->jwks = wrong ? NULL : xstrdup(text);
    cJSON_free(text);
    return wrong;
}

static bool read_url(const cJSON *item, struct project *project)
{
    const char *url = cJSON_GetStringValue(item);
    if (!item || cJSON_IsNull(item))
        return true;
    if (!url || strlen(url) > PROJECT_URL_MAX || (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0))
        return false;
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    project->jwks_url = xstrdup(url);
    return true;
}

/* An object of numbers, each a whole one from 1, is a struct of them; what it does not have is 0. */
struct number {
    const char *name;
    size_t at;
};

static const struct number quotas[] = {
#define QUOTA(name, field) {name, offsetof(struct quotas, field)},
    PROJECT_QUOTAS
#undef QUOTA
    {0}};

static const struct number retention[] = {
    {"seconds", offsetof(struct retention, seconds)}, {"bytes", offsetof(struct retention, bytes)}, {0}};

static uint64_t *number_at(const void *all, const struct number *number)
{
    return (uint64_t *)(void *)((char *)(uintptr_t)all + number->at);
}

static bool read_numbers(const cJSON *item, const struct number *numbers, void *all)
{
    const cJSON *field;
    if (!item || cJSON_IsNull(item))
        return true;
    if (!cJSON_IsObject(item))
        return false;
    cJSON_ArrayForEach(field, item)
    {
        const struct number *number = numbers;
        double value = cJSON_GetNumberValue(field); /* NaN if it is none */
        while (number->name && strcmp(number->name, field->string) != 0)
            number++;
        if (!number->name || *number_at(all, number) || !(value >= 1 && value <= 0x1fffffffffffff) ||
            (double)(uint64_t)value != value)
            return false;
        *number_at(all, number) = (uint64_t)value;
    }
    return true;
}

static cJSON *print_numbers(const struct number *numbers, const void *all)
{
    cJSON *object = cJSON_CreateObject();
    for (const struct number *number = numbers; number->name; number++)
        if (*number_at(all, number))
            cJSON_AddNumberToObject(object, number->name, (double)*number_at(all, number));
    return object;
}

cJSON *project_quotas(const struct quotas *all)
{
    return print_numbers(quotas, all);
}

static struct project_error read_fields(const cJSON *root, bool strict, struct project *project)
{
    static const char *const names[] = {"signingSecrets", "corsOrigins", "isPublic", "jwks",
                                        "jwksUrl",        "quotas",      "retention"};
    const struct texts_rule *origins = strict ? &origins_rule : &kept_origins_rule;
    const cJSON *is_public = cJSON_GetObjectItemCaseSensitive(root, "isPublic");
    if (!cJSON_IsObject(root))
        return (struct project_error){"body", "a JSON object"};
    if (document_unknown(root, names, sizeof names / sizeof names[0]))
        return (struct project_error){"body", "without fields but signingSecrets, corsOrigins, isPublic, jwks, jwksUrl,"
                                              " quotas and retention"};
    if (document_twice(root))
        return (struct project_error){"body", "without a field that comes twice"};
    if (!read_texts(cJSON_GetObjectItemCaseSensitive(root, "signingSecrets"), &secrets_rule, &project->secrets))
        return (struct project_error){secrets_rule.field, secrets_rule.expected};
    if (!read_texts(cJSON_GetObjectItemCaseSensitive(root, "corsOrigins"), origins, &project->origins) ||
        (strict && !project_origins_valid(&project->origins)))
        return (struct project_error){origins->field, origins->expected};
    if (is_public && !cJSON_IsBool(is_public))
        return (struct project_error){"isPublic", "true or false"};
    project->is_public = cJSON_IsTrue(is_public);
    const char *keys = read_keys(cJSON_GetObjectItemCaseSensitive(root, "jwks"), strict, project);
    if (keys)
        return (struct project_error){"jwks", keys};
    if (!read_url(cJSON_GetObjectItemCaseSensitive(root, "jwksUrl"), project))
        return (struct project_error){"jwksUrl", "an http or https URL of up to 1024 bytes"};
    if (!read_numbers(cJSON_GetObjectItemCaseSensitive(root, "quotas"), quotas, &project->quotas))
        return (struct project_error){"quotas", "an object of streams, bytes, appendsPerSecond and liveReaders, each a"
                                                " whole number from 1"};
    if (!read_numbers(cJSON_GetObjectItemCaseSensitive(root, "retention"), retention, &project->retention) ||
        project->retention.seconds > PROJECT_RETENTION_MAX_S)
        return (struct project_error){"retention", "an object of seconds and bytes, each a whole number from 1"};
    return (struct project_error){0};
}

bool project_parse(struct slice json, bool strict, struct project *project, struct project_error *error)
{
    *project = (struct project){0};
    cJSON *root = document_parse(json);
    if (!root)
        *error = (struct project_error){"body", "a JSON object and nothing behind it"};
    else
        *error = read_fields(root, strict, project);
    cJSON_Delete(root);
    if (error->field)
        project_clear(project);
    return !error->field;
}

static void add_texts(cJSON *root, const char *name, const struct texts *texts)
{
    cJSON *array = cJSON_AddArrayToObject(root, name);
    for (size_t i = 0; i < texts->count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateString(texts->items[i]));
}

void project_print(const struct project *project, struct buf *out)
{
    cJSON *root = cJSON_CreateObject();
    add_texts(root, secrets_rule.field, &project->secrets);
    add_texts(root, origins_rule.field, &project->origins);
    cJSON_AddBoolToObject(root, "isPublic", project->is_public);
    if (project->jwks)
        cJSON_AddRawToObject(root, "jwks", project->jwks);
    if (project->jwks_url)
        cJSON_AddStringToObject(root, "jwksUrl", project->jwks_url);
    if (project_has_quotas(&project->quotas))
        cJSON_AddItemToObject(root, "quotas", project_quotas(&project->quotas));
    if (project->retention.seconds || project->retention.bytes)
        cJSON_AddItemToObject(root, "retention", print_numbers(retention, &project->retention));
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
