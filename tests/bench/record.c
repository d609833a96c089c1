#include "tests/bench/record.h"

#include <stdio.h>

/* "pppppppp.nnnnnnnn.ssssssssssssssss" in hex, filled up, and a mark at the end that shows a shift of the bytes. */
#define NUMBER_AT 9
#define SENT_AT 18
#define FILL_AT 34

void record_write(struct buf *out, const struct record *record, size_t size)
{
    char *text = buf_reserve(out, size + 1);
    snprintf(text, size + 1, "%08x.%08x.%016llx", record->publisher, record->number, (unsigned long long)record->sent);
    memset(text + FILL_AT, '-', size - FILL_AT - 1);
    text[size - 1] = '!';
    buf_grow(out, size);
}

static bool read_hex(const char *text, unsigned digits, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < digits; i++) {
        unsigned char c = (unsigned char)text[i];
        unsigned digit = c <= '9' ? c - 48u : c - 87u; /* '0', 'a' less ten */
        if (digit > 15)
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

bool record_read(struct slice text, struct record *record)
{
    uint64_t publisher, number;
    if (text.len < RECORD_MIN || text.data[text.len - 1] != '!' || text.data[text.len - 2] != '-')
        return false;
    if (!read_hex(text.data, 8, &publisher) || !read_hex(text.data + NUMBER_AT, 8, &number) ||
        !read_hex(text.data + SENT_AT, 16, &record->sent))
        return false;
    record->publisher = (uint32_t)publisher;
    record->number = (uint32_t)number;
    return true;
}
