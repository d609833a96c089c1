/* Media types (RFC 9110, 8.3.1) as streams carry them: text/plain; charset=utf-8 is essence; parameters. Types are
 * compared by their essence alone, without regard to case; parameters are kept as they came, and are only checked
 * for characters that would break a header. */
#include "common/media_type.h"

#include "common/tchar.h"

/* Without the parameters and the space before them. */
static struct slice media_type_essence(struct slice type)
{
    const char *end = type.len ? memchr(type.data, ';', type.len) : NULL;
    size_t len = end ? (size_t)(end - type.data) : type.len;
    while (len && (type.data[len - 1] == ' ' || type.data[len - 1] == '\t'))
        len--;
    return slice_of(type.data, len);
}

bool media_type_valid(struct slice type)
{
    struct slice name = media_type_essence(type);
    size_t slash = tchar_span(name);
    for (size_t i = name.len; i < type.len; i++)
        if ((type.data[i] < ' ' || type.data[i] > '~') && type.data[i] != '\t')
            return false;
    return type.len <= MEDIA_TYPE_MAX && slash && slash < name.len && name.data[slash] == '/' &&
           tchar_all(slice_of(name.data + slash + 1, name.len - slash - 1));
}

bool media_type_same(struct slice a, struct slice b)
{
    return slice_alike(media_type_essence(a), media_type_essence(b));
}

bool media_type_is_application_json(struct slice type)
{
    return media_type_same(type, SLICE("application/json"));
}

bool media_type_is_json(struct slice type)
{
    static const struct slice suffix = {"+json", 5};
    struct slice name = media_type_essence(type);
    const char *slash = name.len ? memchr(name.data, '/', name.len) : NULL;
    size_t subtype = slash ? name.len - (size_t)(slash + 1 - name.data) : 0;
    return media_type_is_application_json(type) ||
           (subtype > suffix.len && slice_alike(slice_of(name.data + name.len - suffix.len, suffix.len), suffix));
}

bool media_type_is_text(struct slice type)
{
    return type.len > 5 && slice_alike(slice_of(type.data, 5), SLICE("text/"));
}
