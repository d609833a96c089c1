#include "router/handlers/body_name.h"

#include "common/percent.h"

/* Whether a client could ask for the stream: its path is within limits.max_path, encoded. */
static bool body_name_fits(const struct body_names *of, struct slice name)
{
    struct buf path = {0};
    buf_add_text(&path, "/v1/stream/");
    percent_encode(name, &path);
    bool fits = buf_len(&path) <= of->max_path;
    buf_clear(&path);
    return fits;
}

enum error body_name_add(const struct body_names *of, const char *what, struct slice id, struct buf *names,
                         struct detail *detail)
{
    size_t before = buf_len(names), len = 0;
    if (!id.len)
        return detail_say(detail, of->error, "%s must be the name of a stream", what);
    buf_add_slice(names, of->project);
    buf_add_byte(names, '/');
    if (!percent_decode(id, buf_reserve(names, id.len), &len))
        return detail_say(detail, of->error,
                          "%s %s is no name: '%%' and two hexadecimal digits are a byte, and control "
                          "characters are not allowed",
                          what, detail_quote(id).text);
    buf_grow(names, len);
    if (!body_name_fits(of, slice_from(buf_slice(names), before)))
        return detail_say(detail, of->error, "%s %s is too long: limits.max_path allows paths of %zu bytes", what,
                          detail_quote(id).text, of->max_path);
    return ERR_NONE;
}
