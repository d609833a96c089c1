/* One pass over a text, a line at a time, without copying: names and values are slices of it.
 *
 *     [router]                      INI_SECTION  "router"
 *     listen = 127.0.0.1:4437 ;x    INI_KEY      "listen", "127.0.0.1:4437"
 *     # or ; at the start           passed over
 *     listen                        INI_WRONG    what was expected
 *
 * A line may have any length; a BOM and CR LF are accepted. A line that is no section, key or comment is given to
 * the caller as an error; reading goes on behind it. */
#include "common/ini.h"

#include <string.h>

static bool ini_is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice ini_trim(struct slice text)
{
    while (text.len && ini_is_space(text.data[0]))
        text = slice_of(text.data + 1, text.len - 1);
    while (text.len && ini_is_space(text.data[text.len - 1]))
        text.len--;
    return text;
}

static struct slice ini_next_line(struct ini *ini)
{
    const char *text = ini->rest.data, *end = memchr(text, '\n', ini->rest.len);
    size_t len = end ? (size_t)(end - text) : ini->rest.len, taken = end ? len + 1 : len;
    struct slice line = slice_of(text, len);
    ini->rest = slice_of(text + taken, ini->rest.len - taken);
    /* Editors on Windows put a BOM at the start of a file. */
    if (++ini->line == 1 && len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        line = slice_of(text + 3, len - 3);
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    return ini_trim(line);
}

/* A lone CR would hide what follows it. */
static bool ini_has_control(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (((unsigned char)line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 127)
            return true;
    return false;
}

static struct ini_item ini_wrong(const char *expected)
{
    return (struct ini_item){.kind = INI_WRONG, .expected = expected};
}

static bool ini_is_comment(struct slice line)
{
    return line.len && (line.data[0] == '#' || line.data[0] == ';');
}

static struct ini_item ini_read_section(struct slice line)
{
    const char *end = memchr(line.data, ']', line.len);
    if (!end)
        return ini_wrong("[section] or key = value");
    size_t len = (size_t)(end - line.data) + 1;
    struct slice behind = ini_trim(slice_of(line.data + len, line.len - len));
    if (behind.len && !ini_is_comment(behind))
        return ini_wrong("nothing behind [section]; a key has a line of its own");
    return (struct ini_item){.kind = INI_SECTION, .name = slice_of(line.data + 1, len - 2)};
}

static size_t ini_value_end(struct slice text)
{
    for (size_t i = 1; i < text.len; i++)
        if (text.data[i] == ';' && ini_is_space(text.data[i - 1]))
            return i;
    return text.len;
}

static struct ini_item ini_read_key(struct slice line)
{
    size_t len = 0;
    while (len < line.len && line.data[len] != '=' && line.data[len] != ':')
        len++;
    if (len == line.len)
        return ini_wrong("[section] or key = value, all of it in one line");
    struct slice value = slice_of(line.data + len + 1, line.len - len - 1);
    value.len = ini_value_end(value);
    return (struct ini_item){.kind = INI_KEY, .name = ini_trim(slice_of(line.data, len)), .value = ini_trim(value)};
}

struct ini_item ini_next(struct ini *ini)
{
    while (ini->rest.len) {
        struct slice line = ini_next_line(ini);
        if (ini_has_control(line))
            return ini_wrong("a line of text without control characters; a line ends with LF or CR LF");
        if (line.len && !ini_is_comment(line))
            return line.data[0] == '[' ? ini_read_section(line) : ini_read_key(line);
    }
    return (struct ini_item){.kind = INI_END};
}
