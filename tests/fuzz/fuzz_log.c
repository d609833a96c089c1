/* Whatever is logged, in whatever format, is one line without control characters, and JSON is JSON that says what was
 * put in. */
#include <cjson/cJSON.h>
#include <string.h>

#include "common/log_line.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

/* Text that every reader gives back as it was. */
static bool is_faithful(const uint8_t *data, size_t size)
{
    for (size_t i = 0, len; i < size; i += len) {
        len = data[i] < 0x80 ? 1 : utf8_length(data + i, size - i);
        if (!len || !data[i])
            return false;
    }
    return size <= 300;
}

static void check_json(struct slice line, struct slice text, bool faithful)
{
    cJSON *parsed = cJSON_ParseWithLength(line.data, line.len);
    must(parsed != NULL);
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(parsed, "msg");
    const cJSON *field = cJSON_GetObjectItemCaseSensitive(parsed, "field");
    must(cJSON_IsString(message) && cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(parsed, "number")));
    if (faithful) {
        must(slice_equal(slice_str(message->valuestring), text));
        must(cJSON_IsString(field) && slice_equal(slice_str(field->valuestring), text));
    }
    cJSON_Delete(parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct log_event event = {.role = "router", .index = 1, .pid = 7};
    struct slice text = slice_of((const char *)data, size);
    for (enum log_format format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
        struct log_line line;
        log_line_begin(&line, format, &event, text);
        log_line_number(&line, "number", size);
        log_line_text(&line, "field", text);
        struct slice whole = log_line_end(&line);
        must(whole.len <= LOG_LINE_MAX && whole.data[whole.len - 1] == '\n');
        for (size_t i = 0; i + 1 < whole.len; i++)
            must((uint8_t)whole.data[i] >= 0x20 && whole.data[i] != 0x7f);
        if (format == LOG_FORMAT_JSON)
            check_json(whole, text, is_faithful(data, size));
    }
    return 0;
}
