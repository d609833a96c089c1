/* JSON documents by cJSON, stricter than cJSON: one value and nothing behind it, valid UTF-8, no \u0000. The look-
 * ups below tell unknown and repeated members, which cJSON accepts, so that a misspelled setting is not ignored. */
#include "common/document.h"

#include <stdbool.h>
#include <string.h>

#include "common/utf8.h"

/* cJSON's texts end at a NUL, so one that has \u0000 would be taken for a shorter one. */
static bool document_has_nul(struct slice json)
{
    for (size_t i = 0; i + 1 < json.len; i++) {
        if (json.data[i] != '\\')
            continue;
        if (json.len - i >= 6 && memcmp(json.data + i + 1, "u0000", 5) == 0)
            return true;
        i++;
    }
    return false;
}

static bool document_is_utf8(struct slice json)
{
    const uint8_t *at = (const uint8_t *)json.data, *end = (const uint8_t *)slice_end(json);
    while (at < end) {
        size_t len = *at < 0x80 ? 1 : utf8_length(at, (size_t)(end - at));
        if (!len)
            return false;
        at += len;
    }
    return true;
}

/* cJSON reads up to the first NUL and would take what follows for the end. */
cJSON *document_parse(struct slice json)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(json.data, json.len, &end, 0);
    while (end && end < slice_end(json) && *end && strchr(" \t\r\n", *end))
        end++;
    if (root && end == slice_end(json) && !document_has_nul(json) && document_is_utf8(json))
        return root;
    cJSON_Delete(root);
    return NULL;
}

const char *document_unknown(const cJSON *object, const char *const *names, size_t count)
{
    const cJSON *field;
    cJSON_ArrayForEach(field, object)
    {
        size_t i = 0;
        while (i < count && strcmp(field->string, names[i]) != 0)
            i++;
        if (i == count)
            return field->string;
    }
    return NULL;
}

const char *document_twice(const cJSON *object)
{
    const cJSON *field;
    cJSON_ArrayForEach(field, object)
    {
        if (cJSON_GetObjectItemCaseSensitive(object, field->string) != field)
            return field->string;
    }
    return NULL;
}

const char *document_text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}
