#include "common/project.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

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
    size_t len = strlen(origin), scheme = strcspn(origin, ":");
    if (strcmp(origin, "*") == 0)
        return true;
    if (len > PROJECT_ORIGIN_MAX || scheme == 0 || strncmp(origin + scheme, "://", 3) != 0)
        return false;
    const char *host = origin + scheme + 3;
    for (const char *c = host; *c; c++)
        if (*c <= ' ' || *c > '~' || strchr("/?#@,\\\"'<>", *c))
            return false;
    return *host != 0;
}

struct texts_rule {
    const char *field, *expected;
    size_t min, max;
    bool (*valid)(const char *text);
};

static const struct texts_rule secrets_rule = {"signingSecrets", "1 to 16 different texts of 32 to 512 bytes", 1,
                                               PROJECT_SECRETS_MAX, secret_valid};
static const struct texts_rule origins_rule = {"corsOrigins",
                                               "up to 64 different texts, each * or scheme://host[:port]", 0,
                                               PROJECT_ORIGINS_MAX, project_origin_valid};

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

/* ---- public keys ---- */

static const struct project_error jwks_error = {
    "jwks", "a JSON Web Key Set with up to 16 keys, each RSA of 2048 bits or more, or EC on P-256, and public"};

static const char *text_of(const cJSON *key, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(key, name));
}

static bool read_key(const cJSON *item, struct project_key *key)
{
    const struct jwk jwk = {text_of(item, "kty"), text_of(item, "crv"), text_of(item, "n"),
                            text_of(item, "e"),   text_of(item, "x"),   text_of(item, "y")};
    if (!cJSON_IsObject(item) || text_of(item, "d")) /* a private key has no business here */
        return false;
    key->pem = key_pem(&jwk, &key->kind);
    return key->pem != NULL;
}

static bool read_keys(const cJSON *jwks, struct project *project)
{
    const cJSON *item, *keys = cJSON_GetObjectItemCaseSensitive(jwks, "keys");
    if (!jwks || cJSON_IsNull(jwks))
        return true;
    if (!cJSON_IsArray(keys) || cJSON_GetArraySize(keys) > (int)PROJECT_KEYS_MAX)
        return false;
    project->keys = xcalloc(PROJECT_KEYS_MAX, sizeof *project->keys);
    cJSON_ArrayForEach(item, keys)
    {
        if (!read_key(item, &project->keys[project->key_count]))
            return false;
        project->key_count++;
    }
    char *text = cJSON_PrintUnformatted(jwks);
    project->jwks = xstrdup(text);
    cJSON_free(text);
    return true;
}

static bool known_field(const char *name)
{
    static const char *const names[] = {"signingSecrets", "corsOrigins", "isPublic", "jwks"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static struct project_error read_fields(const cJSON *root, struct project *project)
{
    const cJSON *field, *is_public = cJSON_GetObjectItemCaseSensitive(root, "isPublic");
    if (!cJSON_IsObject(root))
        return (struct project_error){"body", "a JSON object"};
    cJSON_ArrayForEach(field, root)
    {
        if (!known_field(field->string))
            return (struct project_error){"body", "without fields but signingSecrets, corsOrigins, isPublic and jwks"};
        if (cJSON_GetObjectItemCaseSensitive(root, field->string) != field)
            return (struct project_error){"body", "without a field that comes twice"};
    }
    if (!read_texts(cJSON_GetObjectItemCaseSensitive(root, "signingSecrets"), &secrets_rule, &project->secrets))
        return (struct project_error){secrets_rule.field, secrets_rule.expected};
    if (!read_texts(cJSON_GetObjectItemCaseSensitive(root, "corsOrigins"), &origins_rule, &project->origins))
        return (struct project_error){origins_rule.field, origins_rule.expected};
    if (is_public && !cJSON_IsBool(is_public))
        return (struct project_error){"isPublic", "true or false"};
    project->is_public = cJSON_IsTrue(is_public);
    if (!read_keys(cJSON_GetObjectItemCaseSensitive(root, "jwks"), project))
        return jwks_error;
    return (struct project_error){0};
}

/* cJSON reads up to the first NUL and would take what follows for the end. */
bool project_parse(struct slice json, struct project *project, struct project_error *error)
{
    const char *end = NULL;
    *project = (struct project){0};
    cJSON *root = cJSON_ParseWithLengthOpts(json.data, json.len, &end, 0);
    while (end && end < json.data + json.len && strchr(" \t\r\n", *end) && *end)
        end++;
    if (!root || end != json.data + json.len)
        *error = (struct project_error){"body", "a JSON object and nothing behind it"};
    else
        *error = read_fields(root, project);
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
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    buf_add(out, text, strlen(text));
    cJSON_free(text);
}

void project_clear(struct project *project)
{
    texts_clear(&project->secrets);
    texts_clear(&project->origins);
    for (size_t i = 0; i < project->key_count; i++)
        free(project->keys[i].pem);
    free(project->keys);
    free(project->jwks);
    *project = (struct project){0};
}
