/* A head is read twice: first only for line feeds, to find its end; then line by line.
 *
 *     POST /v1/stream/app/log?x=1 HTTP/1.1 CR LF     http_parse_request_line
 *     Host: example.org CR LF                        http_parse_headers: name, value, note
 *     Content-Length: 12 CR LF
 *     CR LF                                          http_check_...: what the headers say together
 *
 * Happy path: http_find_end() finds the empty line. From then on no scan needs a bound of its own: every one stops at
 * the CR of its line at the latest. The headers of HTTP_HEADERS come out as slices of the input, nothing is copied.
 *
 * Failure modes: Not whole yet: MORE, and `from` remembers how far the search went, so that a head that comes byte by
 * byte costs its length once. Anything that another parser could read differently (bare LF, space before a colon, two
 * lengths, both framings, folded lines) is BAD: such a request is how a client hides a second one from a proxy (RFC
 * 9112 11.2). The connection then ends behind the answer. */
#include "router/http/http.h"

#include <strings.h>

#include "common/swar.h"

#define LINES_MAX 100     /* header lines */
#define EMPTY_LINES_MAX 8 /* before the request line: old clients send one behind a body (RFC 9112 2.2) */

/* Headers the parser keeps to itself, numbered after those it hands out. */
enum own_header {
    OWN_CONTENT_LENGTH = HTTP_HEADER_COUNT,
    OWN_TRANSFER_ENCODING,
    OWN_CONNECTION,
    OWN_EXPECT,
    OWN_CONTENT_ENCODING,
    OWN_FORWARDED,
    OWN_VIA,
    OWN_X_FORWARDED_FOR,
    OWN_X_FORWARDED_HOST,
    OWN_X_FORWARDED_PROTO,
    KNOWN_COUNT,
    UNKNOWN = KNOWN_COUNT
};

/* clang-format off */
static const struct slice http_known_names[KNOWN_COUNT] = {
    [OWN_CONTENT_LENGTH] = {"content-length", 14},
    [OWN_TRANSFER_ENCODING] = {"transfer-encoding", 17},
    [OWN_CONNECTION] = {"connection", 10},
    [OWN_EXPECT] = {"expect", 6},
    [OWN_CONTENT_ENCODING] = {"content-encoding", 16},
    [OWN_FORWARDED] = {"forwarded", 9},
    [OWN_VIA] = {"via", 3},
    [OWN_X_FORWARDED_FOR] = {"x-forwarded-for", 15},
    [OWN_X_FORWARDED_HOST] = {"x-forwarded-host", 16},
    [OWN_X_FORWARDED_PROTO] = {"x-forwarded-proto", 17},
#define X(name, text) [HTTP_##name##_HEADER] = {text, sizeof(text) - 1},
    HTTP_HEADERS(X)
#undef X
};
/* clang-format on */

/* The known headers by the length of their name: how many, and which. */
#define KNOWN_LENGTH_MAX 30
static const uint8_t http_by_length[KNOWN_LENGTH_MAX + 1][6] = {
    [3] = {1, OWN_VIA},
    [4] = {1, HTTP_HOST_HEADER},
    [6] = {3, OWN_EXPECT, HTTP_ORIGIN_HEADER, HTTP_COOKIE_HEADER},
    [8] = {1, HTTP_IF_MATCH_HEADER},
    [9] = {1, OWN_FORWARDED},
    [10] = {3, OWN_CONNECTION, HTTP_STREAM_SEQ_HEADER, HTTP_STREAM_TTL_HEADER},
    [11] = {1, HTTP_PRODUCER_ID_HEADER},
    [12] = {3, HTTP_CONTENT_TYPE_HEADER, HTTP_PRODUCER_SEQ_HEADER, HTTP_REQUEST_ID_HEADER},
    [13] = {5, HTTP_AUTHORIZATION_HEADER, HTTP_IF_NONE_MATCH_HEADER, HTTP_LAST_EVENT_ID_HEADER,
            HTTP_STREAM_APPEND_HEADER, HTTP_STREAM_CLOSED_HEADER},
    [14] = {3, OWN_CONTENT_LENGTH, HTTP_PRODUCER_EPOCH_HEADER, HTTP_FETCH_SITE_HEADER},
    [15] = {1, OWN_X_FORWARDED_FOR},
    [16] = {2, OWN_CONTENT_ENCODING, OWN_X_FORWARDED_HOST},
    [17] = {3, OWN_TRANSFER_ENCODING, OWN_X_FORWARDED_PROTO, HTTP_STREAM_EXPIRES_AT_HEADER},
    [18] = {3, HTTP_STREAM_FORKED_FROM_HEADER, HTTP_STREAM_FORK_OFFSET_HEADER, HTTP_STREAM_INCARNATION_HEADER},
    [22] = {3, HTTP_STREAM_FORK_SUB_OFFSET_HEADER, HTTP_STREAM_RETENTION_BYTES_HEADER,
            HTTP_STREAM_EXPECTED_OFFSET_HEADER},
    [24] = {1, HTTP_STREAM_RETENTION_SECONDS_HEADER},
    [30] = {1, HTTP_REQUEST_HEADERS_HEADER},
};

/* ---- bytes ---- */

#define IN_TOKEN 1u  /* RFC 9110 5.6.2 */
#define IN_HOST 2u   /* of an authority without userinfo (RFC 3986 3.2.2, 3.2.3) */
#define IN_TARGET 4u /* %x21-7E but for '#', which no request-target has */
#define T_ IN_TARGET
#define TT (IN_TARGET | IN_TOKEN)
#define TH (IN_TARGET | IN_HOST)
#define ALL (IN_TARGET | IN_TOKEN | IN_HOST)

/* clang-format off */
static const uint8_t http_classes[256] = {
    ['0' ... '9'] = ALL, ['A' ... 'Z'] = ALL, ['a' ... 'z'] = ALL, ['!'] = ALL, ['$'] = ALL, ['%'] = ALL, ['&'] = ALL,
    ['\''] = ALL, ['*'] = ALL, ['+'] = ALL, ['-'] = ALL, ['.'] = ALL, ['_'] = ALL, ['~'] = ALL,
    ['('] = TH, [')'] = TH, [','] = TH, [':'] = TH, [';'] = TH, ['='] = TH, ['['] = TH, [']'] = TH,
    ['^'] = TT, ['`'] = TT, ['|'] = TT, ['#'] = IN_TOKEN,
    ['"'] = T_, ['/'] = T_, ['<'] = T_, ['>'] = T_, ['?'] = T_, ['@'] = T_, ['\\'] = T_, ['{'] = T_, ['}'] = T_,
};
/* clang-format on */

static inline bool http_is(char byte, unsigned class)
{
    return http_classes[(uint8_t)byte] & class;
}

static inline bool http_is_control(uint8_t byte)
{
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

static bool http_all(struct slice s, unsigned class)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http_is(s.data[i], class))
            return false;
    return true;
}

/* `lower` is made of a-z and '-'; setting bit 5 turns no other token character into one of those. */
static bool http_token_equal(struct slice token, struct slice lower)
{
    if (token.len != lower.len)
        return false;
    size_t i = 0;
    for (; i + 8 <= token.len; i += 8)
        if ((swar_load(token.data + i) | SWAR_ONES * 0x20) != swar_load(lower.data + i))
            return false;
    for (; i < token.len; i++)
        if ((token.data[i] | 0x20) != lower.data[i])
            return false;
    return true;
}

static struct slice http_trim(const char *start, const char *end)
{
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return slice_of(start, (size_t)(end - start));
}

/* Takes the next member off a comma-separated list; empty members come as empty slices. */
static bool http_list_next(struct slice *list, struct slice *member)
{
    if (!list->data)
        return false;
    const char *end = slice_end(*list), *comma = memchr(list->data, ',', list->len);
    *member = http_trim(list->data, comma ? comma : end);
    *list = comma ? slice_of(comma + 1, (size_t)(end - comma - 1)) : slice_of(NULL, 0);
    return true;
}

/* ---- where the head ends ---- */

struct parser {
    const char *at;  /* the next byte to look at */
    const char *end; /* of the bytes that came; the head has been seen to end before it */
    struct http_head *head;
    struct slice authority; /* of an absolute target; data == NULL: there was none */
    struct slice name;      /* of the header line at hand */
    struct slice content_length, transfer_encoding;
    bool keep_alive, close; /* seen in Connection */
    enum error error;
    struct detail *detail;
};

static bool http_refuse(struct parser *p, enum error error, const char *text)
{
    p->error = detail_say(p->detail, error, "%s", text);
    return false;
}

/* Of the header line at hand. */
static bool http_refuse_header(struct parser *p, enum error error, const char *what)
{
    p->error = detail_say(p->detail, error, "header %s %s", detail_quote(p->name).text, what);
    return false;
}

/* Skips the empty lines before the request line. MORE: perhaps not all of them have come. A first byte that begins no
 * method is refused at once: the client may speak TLS, and never send a line feed. */
static enum http_parse http_skip_empty_lines(struct parser *p)
{
    unsigned lines = 0;
    while (p->end - p->at >= 2 && p->at[0] == '\r' && p->at[1] == '\n' && lines++ < EMPTY_LINES_MAX)
        p->at += 2;
    if (p->at == p->end || (p->end - p->at == 1 && *p->at == '\r' && lines < EMPTY_LINES_MAX))
        return HTTP_PARSE_MORE;
    if (http_is(*p->at, IN_TOKEN))
        return HTTP_PARSE_DONE;
    http_refuse(p, ERR_BAD_REQUEST, "request does not begin with a method");
    return HTTP_PARSE_BAD;
}

/* Looks from `from` on for the empty line that ends the head that begins at p->at, with a token: a line feed has a byte
 * before it, and one after a CR has two. */
static enum http_parse http_find_end(struct parser *p, const char *from)
{
    const char *line = from > p->at ? from : p->at;
    while ((line = memchr(line, '\n', (size_t)(p->end - line)))) {
        if (line[-1] != '\r') {
            http_refuse(p, ERR_BAD_REQUEST, "line feed without carriage return");
            return HTTP_PARSE_BAD;
        }
        if (line[-2] == '\n')
            return HTTP_PARSE_DONE;
        line++;
    }
    return HTTP_PARSE_MORE;
}

/* ---- request line ---- */

static const struct slice http_methods[] = {
#define METHOD(ID) [HTTP_##ID] = {#ID, sizeof #ID - 1},
#include "common/http_methods.def"
#undef METHOD
    [HTTP_OTHER] = {"other", 5}, /* no token of a request is taken for it */
};

const char *http_method_name(enum http_method method)
{
    return http_methods[method].data;
}

static enum http_method http_method_of(struct slice name)
{
    for (unsigned i = 0; i < HTTP_OTHER; i++)
        if (slice_equal(name, http_methods[i]))
            return (enum http_method)i;
    return HTTP_OTHER;
}

/* A run of bytes of one class that ends with a space, which is taken too. */
static bool http_take_word(struct parser *p, unsigned class, struct slice *word)
{
    const char *start = p->at;
    while (http_is(*p->at, class))
        p->at++;
    *word = slice_of(start, (size_t)(p->at - start));
    return word->len && *p->at++ == ' ';
}

static bool http_parse_version(struct parser *p)
{
    const char *v = p->at;
    if (p->end - v < 10 || memcmp(v, "HTTP/", 5) || v[5] < '0' || v[5] > '9' || v[6] != '.' || v[7] < '0' ||
        v[7] > '9' || v[8] != '\r' || v[9] != '\n')
        return http_refuse(p, ERR_BAD_REQUEST, "malformed request line");
    if (v[5] != '1')
        return http_refuse(p, ERR_HTTP_VERSION_NOT_SUPPORTED, error_text(ERR_HTTP_VERSION_NOT_SUPPORTED));
    p->head->http10 = v[7] == '0';
    p->at += 10;
    return true;
}

static size_t http_scheme_length(struct slice target)
{
    if (target.len >= 7 && strncasecmp(target.data, "http://", 7) == 0)
        return 7;
    return target.len >= 8 && strncasecmp(target.data, "https://", 8) == 0 ? 8 : 0;
}

/* RFC 9112 3.2.2: http://authority/path?query is taken as its path, and the authority as the Host. Without a path it is
 * "/", or "*" of OPTIONS (3.2.4). */
static bool http_reduce_absolute(struct parser *p, size_t scheme)
{
    struct http_head *h = p->head;
    const char *start = h->target.data + scheme, *end = h->target.data + h->target.len, *path = start;
    while (path < end && http_is(*path, IN_HOST))
        path++;
    if (path == start || (path < end && *path != '/' && *path != '?'))
        return http_refuse(p, ERR_BAD_REQUEST, "the target is an absolute URL without an authority, or with userinfo");
    p->authority = slice_of(start, (size_t)(path - start));
    h->origin = slice_of(h->target.data, (size_t)(path - h->target.data));
    h->target = slice_of(path, (size_t)(end - path));
    return true;
}

static void http_split_target(struct http_head *h)
{
    const char *mark = h->target.len ? memchr(h->target.data, '?', h->target.len) : NULL;
    h->path = slice_of(h->target.data, mark ? (size_t)(mark - h->target.data) : h->target.len);
    if (mark)
        h->query = slice_of(mark + 1, h->target.len - h->path.len - 1);
    if (!h->path.len)
        h->path = h->method == HTTP_OPTIONS && !mark ? SLICE("*") : SLICE("/");
}

static bool http_parse_target(struct parser *p)
{
    struct http_head *h = p->head;
    if (h->target.data[0] != '/') {
        size_t scheme = http_scheme_length(h->target);
        bool star = h->method == HTTP_OPTIONS && slice_equal(h->target, SLICE("*"));
        if (!scheme && !star)
            return http_refuse(p, ERR_BAD_REQUEST, "the target is neither a path nor an http or https URL");
        if (scheme && !http_reduce_absolute(p, scheme))
            return false;
    }
    http_split_target(h);
    return true;
}

static bool http_parse_request_line(struct parser *p)
{
    struct slice method;
    if (!http_take_word(p, IN_TOKEN, &method) || !http_take_word(p, IN_TARGET, &p->head->target))
        return http_refuse(p, ERR_BAD_REQUEST, "malformed request line");
    p->head->method = http_method_of(method);
    return http_parse_version(p) && http_parse_target(p);
}

/* ---- header lines ---- */

static enum own_header http_known_header(struct slice name)
{
    if (name.len > KNOWN_LENGTH_MAX)
        return UNKNOWN;
    const uint8_t *candidates = http_by_length[name.len];
    for (unsigned i = 1; i <= candidates[0]; i++)
        if (http_token_equal(name, http_known_names[candidates[i]]))
            return candidates[i];
    return UNKNOWN;
}

static bool http_parse_name(struct parser *p, enum own_header *which)
{
    const char *start = p->at;
    while (http_is(*p->at, IN_TOKEN))
        p->at++;
    p->name = slice_of(start, (size_t)(p->at - start));
    if (*p->at != ':' || !p->name.len)
        return http_refuse_header(p, ERR_BAD_REQUEST, "is malformed: a name with a colon behind it is expected");
    p->at++;
    *which = http_known_header(p->name);
    return true;
}

/* Over everything but control characters. */
static const char *http_skip_text(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t word = swar_load(at), control = swar_below(word, 0x20) | swar_equal(word, 0x7f);
        if (control) {
            at += swar_first(control);
            if (*at != '\t')
                return at;
            at++;
        } else {
            at += 8;
        }
    }
    while (at < end && !http_is_control((uint8_t)*at))
        at++;
    return at;
}

/* The rest of a header line, without the spaces around it. */
static bool http_parse_value(struct parser *p, struct slice *value)
{
    const char *end = http_skip_text(p->at, p->end);
    if (p->end - end < 2 || end[0] != '\r' || end[1] != '\n')
        return http_refuse_header(p, ERR_BAD_REQUEST, "has a control character in its value");
    *value = http_trim(p->at, end);
    p->at = end + 2;
    return true;
}

static bool http_keep_once(struct parser *p, struct slice *kept, struct slice value)
{
    if (kept->data)
        return http_refuse_header(p, ERR_DUPLICATE_HEADER, "came twice; it may come once");
    *kept = value;
    return true;
}

static void http_note_connection(struct parser *p, struct slice list)
{
    struct slice option;
    while (http_list_next(&list, &option)) {
        p->close |= http_token_equal(option, SLICE("close"));
        p->keep_alive |= http_token_equal(option, SLICE("keep-alive"));
    }
}

static bool http_note_expect(struct parser *p, struct slice value)
{
    if (p->head->http10) /* RFC 9110 10.1.1: ignored */
        return true;
    if (!slice_alike(value, SLICE("100-continue")))
        return http_refuse(p, ERR_EXPECTATION_FAILED, "only Expect: 100-continue is understood");
    p->head->expect_continue = true;
    return true;
}

static void http_note_coding(struct parser *p, struct slice list)
{
    struct slice coding;
    while (http_list_next(&list, &coding) && !p->head->coding.data)
        if (coding.len && !http_token_equal(coding, SLICE("identity")))
            p->head->coding = coding;
}

/* Headers that make a request conditional and are not in the table of known ones: If, and whatever begins with If-. A
 * server that overlooks one does what the client wanted to prevent. Two are left out: RFC 9110 13.1.3 and 13.1.5 let a
 * server ignore them where there is no date of modification and no range. */
static bool http_is_condition(struct slice name)
{
    if (http_token_equal(name, SLICE("if-modified-since")) || http_token_equal(name, SLICE("if-range")))
        return false;
    return name.len >= 2 && http_token_equal(slice_of(name.data, 2), SLICE("if")) &&
           (name.len == 2 || name.data[2] == '-');
}

/* A GET or HEAD may overlook the second one: that costs at most a full answer. For other methods an overlooked tag is
 * an overlooked condition (RFC 9110 13.2.1). */
static bool http_note_if_none_match(struct parser *p, struct slice value)
{
    struct slice *kept = &p->head->headers[HTTP_IF_NONE_MATCH_HEADER];
    bool reads = p->head->method == HTTP_GET || p->head->method == HTTP_HEAD;
    return (reads && kept->data) || http_keep_once(p, kept, value);
}

static bool http_note_header(struct parser *p, enum own_header which, struct slice value)
{
    switch ((unsigned)which) {
    case UNKNOWN:
        if (!p->head->condition.data && http_is_condition(p->name))
            p->head->condition = p->name;
        return true;
    case OWN_CONTENT_ENCODING:
        http_note_coding(p, value);
        return true;
    case OWN_FORWARDED:
    case OWN_VIA:
    case OWN_X_FORWARDED_FOR:
    case OWN_X_FORWARDED_HOST:
    case OWN_X_FORWARDED_PROTO:
        p->head->forwarded = true;
        return true;
    case OWN_CONNECTION:
        http_note_connection(p, value);
        return true;
    case OWN_EXPECT:
        return http_note_expect(p, value);
    case OWN_CONTENT_LENGTH:
        return http_keep_once(p, &p->content_length, value);
    case OWN_TRANSFER_ENCODING:
        return http_keep_once(p, &p->transfer_encoding, value);
    case HTTP_IF_NONE_MATCH_HEADER:
        return http_note_if_none_match(p, value);
    default:
        return http_keep_once(p, &p->head->headers[which], value);
    }
}

static bool http_parse_headers(struct parser *p)
{
    for (unsigned lines = 0; *p->at != '\r'; lines++) {
        enum own_header which;
        struct slice value;
        if (lines == LINES_MAX)
            return http_refuse(p, ERR_BAD_REQUEST, "too many header lines");
        if (!http_parse_name(p, &which) || !http_parse_value(p, &value) || !http_note_header(p, which, value))
            return false;
    }
    if (p->at[1] != '\n')
        return http_refuse(p, ERR_BAD_REQUEST, "carriage return without line feed");
    p->at += 2;
    return true;
}

/* ---- what the headers say together ---- */

static bool http_check_host(struct parser *p)
{
    struct slice *host = &p->head->headers[HTTP_HOST_HEADER];
    if (!host->data && !p->head->http10)
        return http_refuse(p, ERR_BAD_REQUEST, "HTTP/1.1 without Host");
    if (!http_all(*host, IN_HOST))
        return http_refuse(p, ERR_BAD_REQUEST, "malformed Host");
    if (p->authority.data)
        *host = p->authority;
    return true;
}

/* Digits only: "+5", "5, 5" and "0x5" are read differently by others (RFC 9112 6.3). */
static bool http_check_length(struct parser *p)
{
    struct slice text = p->content_length;
    uint64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)((uint8_t)text.data[i] - '0');
        if (digit > 9)
            return http_refuse(p, ERR_BAD_REQUEST, "malformed Content-Length");
        if (sum > (UINT64_MAX - digit) / 10)
            return http_refuse(p, ERR_BAD_REQUEST, "Content-Length is too large");
        sum = sum * 10 + digit;
    }
    if (text.data && !text.len)
        return http_refuse(p, ERR_BAD_REQUEST, "malformed Content-Length");
    p->head->content_length = sum;
    return true;
}

/* A well-formed Transfer-Encoding that names a coding other than chunked: 501 instead of 400 (RFC 9112 6.1). */
static bool http_names_other_coding(struct slice list)
{
    struct slice coding;
    bool other = false;
    while (http_list_next(&list, &coding)) {
        if (!coding.len || !http_all(coding, IN_TOKEN))
            return false;
        other |= !http_token_equal(coding, SLICE("chunked"));
    }
    return other;
}

static bool http_check_encoding(struct parser *p)
{
    if (!p->transfer_encoding.data)
        return true;
    if (p->content_length.data)
        return http_refuse(p, ERR_BAD_REQUEST, "both Content-Length and Transfer-Encoding");
    if (p->head->http10)
        return http_refuse(p, ERR_BAD_REQUEST, "Transfer-Encoding in HTTP/1.0");
    if (http_names_other_coding(p->transfer_encoding))
        return http_refuse(p, ERR_NOT_IMPLEMENTED, "only the transfer coding chunked is understood");
    if (!http_token_equal(p->transfer_encoding, SLICE("chunked")))
        return http_refuse(p, ERR_BAD_REQUEST, "malformed Transfer-Encoding");
    p->head->chunked = true;
    return true;
}

static bool http_parse_head(struct parser *p)
{
    if (!http_parse_request_line(p) || !http_parse_headers(p) || !http_check_host(p) || !http_check_length(p) ||
        !http_check_encoding(p))
        return false;
    p->head->keep_alive = !p->close && (!p->head->http10 || p->keep_alive);
    return true;
}

enum http_parse http_head_parse(struct slice in, size_t *from, struct http_head *head, size_t *used, enum error *error,
                                struct detail *detail)
{
    if (!in.len)
        return HTTP_PARSE_MORE;
    struct parser p = {.at = in.data, .end = in.data + in.len, .head = head, .detail = detail};
    enum http_parse state = http_skip_empty_lines(&p);
    if (state == HTTP_PARSE_DONE)
        state = http_find_end(&p, in.data + *from);
    if (state == HTTP_PARSE_MORE) {
        *from = in.len;
        return HTTP_PARSE_MORE;
    }
    memset(head, 0, sizeof *head);
    if (state == HTTP_PARSE_DONE && http_parse_head(&p)) {
        *used = (size_t)(p.at - in.data);
        return HTTP_PARSE_DONE;
    }
    *error = p.error;
    return HTTP_PARSE_BAD;
}

/* A slice that does not point into `from` stays: the path of an empty target is a constant. */
static void http_move(struct slice *slice, struct slice from, const char *to)
{
    uintptr_t at = (uintptr_t)slice->data, start = (uintptr_t)from.data;
    if (at >= start && at <= start + from.len)
        slice->data = to + (at - start);
}

void http_head_move(struct http_head *head, struct slice from, const char *to)
{
    struct slice *const slices[] = {&head->origin, &head->target, &head->path,
                                    &head->query,  &head->coding, &head->condition};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++)
        http_move(slices[i], from, to);
    for (size_t i = 0; i < HTTP_HEADER_COUNT; i++)
        http_move(&head->headers[i], from, to);
}
