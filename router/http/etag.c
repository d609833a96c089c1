/* Three kinds of entity tags, all strong:
 *
 *     "19abf3c:128:512:c"    an answer of messages: the stream's life, from, to, and :c if the stream is closed
 *     "0001764000000123_0000000000000512"    a tail: its offset
 *     "5d41402abc4b2a76b9719d911017c592"    a document: the first 128 bits of its SHA-256
 *
 * A list is read up to the first member that is malformed; nothing after that counts as named. So a broken If-Match
 * refuses the request, and a broken If-None-Match costs a full answer: both are safe. */
#include "router/http/etag.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "common/log.h"

size_t etag_print(char out[ETAG_MAX], uint64_t life, uint64_t start, uint64_t next, bool closed)
{
    int len =
        snprintf(out, ETAG_MAX, "\"%" PRIx64 ":%" PRIu64 ":%" PRIu64 "%s\"", life, start, next, closed ? ":c" : "");
    return (size_t)len;
}

size_t etag_print_offset(char out[ETAG_MAX], struct offset offset)
{
    out[0] = out[OFFSET_LEN + 1] = '"';
    offset_print(out + 1, offset);
    return OFFSET_LEN + 2;
}

/* sscanf() takes more than is ever printed, so what it found is printed and compared. */
enum etag_kind etag_parse(struct slice tag, struct offset *offset)
{
    char text[ETAG_MAX] = "", again[ETAG_MAX];
    uint64_t start;
    if (tag.len == OFFSET_LEN + 2 && tag.data[0] == '"' && tag.data[OFFSET_LEN + 1] == '"' &&
        offset_parse(slice_of(tag.data + 1, OFFSET_LEN), offset))
        return ETAG_OF_OFFSET;
    if (!tag.len || tag.len >= ETAG_MAX)
        return ETAG_OF_NOTHING;
    memcpy(text, tag.data, tag.len);
    if (sscanf(text, "\"%16" SCNx64 ":%20" SCNu64 ":%20" SCNu64, &offset->life, &start, &offset->position) != 3)
        return ETAG_OF_NOTHING;
    for (int closed = 0; closed < 2; closed++)
        if (slice_equal(tag, slice_of(again, etag_print(again, offset->life, start, offset->position, closed))))
            return ETAG_OF_READ;
    return ETAG_OF_NOTHING;
}

/* Empty members are allowed: `, "a",, "b"` has two (RFC 9110 5.6.1.2). */
static struct slice etag_skip_separators(struct slice list)
{
    while (list.len && (*list.data == ' ' || *list.data == '\t' || *list.data == ','))
        list = slice_of(list.data + 1, list.len - 1);
    return list;
}

size_t etag_print_document(char out[ETAG_MAX], struct slice document)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t len = 0;
    if (EVP_Digest(document.data, document.len, digest, NULL, EVP_sha256(), NULL) != 1)
        fatalx("no SHA-256");
    out[len++] = '"';
    for (unsigned i = 0; i < 16; i++)
        len += (size_t)snprintf(out + len, 3, "%02x", digest[i]);
    out[len++] = '"';
    return len;
}

bool etag_listed(struct slice list, struct slice etag, enum etag_compare compare)
{
    list = etag_skip_separators(list);
    if (list.len && list.data[0] == '*')
        return true;
    while (list.len) {
        bool weak = list.len > 2 && memcmp(list.data, "W/", 2) == 0;
        if (weak)
            list = slice_of(list.data + 2, list.len - 2);
        if (list.data[0] != '"')
            return false;
        /* A tag has no escapes, so the next quote ends it (RFC 9110 8.8.3). */
        const char *end = list.len > 1 ? memchr(list.data + 1, '"', list.len - 1) : NULL;
        if (!end)
            return false;
        size_t len = (size_t)(end - list.data) + 1;
        if (slice_equal(slice_of(list.data, len), etag) && (!weak || compare == ETAG_WEAK))
            return true;
        list = etag_skip_separators(slice_of(list.data + len, list.len - len));
    }
    return false;
}
