/* Percent-encoding (RFC 3986, 2.1): "a b%/c" <-> "a%20b%25/c". Decoding also refuses control characters, written as
 * they are or encoded: a decoded name goes into headers, logs and terminals. */
#include "common/percent.h"

static int percent_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool percent_decode(struct slice in, char *out, size_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        unsigned char byte = (unsigned char)in.data[i];
        if (byte == '%') {
            int high = i + 2 < in.len ? percent_hex_value(in.data[i + 1]) : -1;
            int low = i + 2 < in.len ? percent_hex_value(in.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            byte = (unsigned char)(high * 16 + low);
            i += 2;
        }
        if (byte < 0x20 || byte == 0x7f)
            return false;
        out[n++] = (char)byte;
    }
    *len = n;
    return true;
}

static bool percent_is_plain(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~/:", c));
}

void percent_encode(struct slice in, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < in.len; i++) {
        unsigned char byte = (unsigned char)in.data[i];
        if (percent_is_plain(byte)) {
            buf_add_byte(out, byte);
            continue;
        }
        buf_add_byte(out, '%');
        buf_add_byte(out, (uint8_t)digits[byte >> 4]);
        buf_add_byte(out, (uint8_t)digits[byte & 15]);
    }
}

void percent_encode_rest(struct slice in, struct buf *out)
{
    /* Each "%" is copied, and the text between two of them encoded: "a%2Fb c" becomes "a%2Fb%20c", not
     * "a%252Fb%20c". */
    while (in.len) {
        const char *percent = memchr(in.data, '%', in.len);
        size_t len = percent ? (size_t)(percent - in.data) : in.len;
        percent_encode(slice_of(in.data, len), out);
        if (percent)
            buf_add_byte(out, '%');
        len += percent != NULL;
        in = slice_of(in.data + len, in.len - len);
    }
}
