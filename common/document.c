#include "common/document.h"

#include <stdbool.h>
#include <string.h>

/* cJSON's texts end at a NUL, so one that has \u0000 would be taken for a shorter one. */
static bool has_nul(struct slice json)
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

/* cJSON reads up to the first NUL and would take what follows for the end. */
cJSON *document_parse(struct slice json)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(json.data, json.len, &end, 0);
    while (end && end < json.data + json.len && *end && strchr(" \t\r\n", *end))
        end++;
    if (root && end == json.data + json.len && !has_nul(json))
        return root;
    cJSON_Delete(root);
    return NULL;
}

const char *document_text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}
