/* A configuration that was read is printed so that it reads back to the same. What was not read whole is told. */
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/ini.h"
#include "tests/fuzz/fuzz.h"

static char *print(const struct config *cfg, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    must(out);
    config_print(cfg, out);
    fclose(out);
    return text;
}

/* Every line that is neither empty nor a comment gives an item, and slices stay inside of the text. */
static void lines(struct slice text)
{
    struct ini ini = {.rest = text};
    struct ini_item item;
    const char *end = text.data + text.len;
    while ((item = ini_next(&ini)).kind != INI_END) {
        must(item.kind == INI_WRONG ? item.expected != NULL : item.name.data + item.name.len <= end);
        must(item.kind != INI_KEY || item.value.data + item.value.len <= end);
        must(item.kind == INI_WRONG || !memchr(item.name.data, '\r', item.name.len));
    }
    must(ini.rest.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config cfg, again;
    char *errors = NULL;
    size_t error_len, len, len_again;
    FILE *out = open_memstream(&errors, &error_len);
    must(out);
    struct slice text = slice_of((const char *)data, size);
    config_init(&cfg);
    config_init(&again);
    lines(text);
    unsigned count = config_read_text(&cfg, "f", text, out);
    fflush(out);
    must((count == 0) == (error_len == 0));
    char *printed = print(&cfg, &len);
    must(config_read_text(&again, "printed", slice_of(printed, len), out) == 0);
    char *printed_again = print(&again, &len_again);
    must(len == len_again && memcmp(printed, printed_again, len) == 0);
    (void)!config_check(&cfg, out);
    fclose(out);
    config_clear(&cfg);
    config_clear(&again);
    free(errors);
    free(printed);
    free(printed_again);
    return 0;
}
