#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/project.h"
#include <stdio.h>

#include "router/handlers/conditions.h"
#include "router/handlers/rules.h"
#include "router/http/integer.h"

#define MAX_PATH 1024

static struct http_head head_with(enum http_header header, const char *value)
{
    struct http_head head = {0};
    head.headers[header] = slice_str(value);
    return head;
}

static enum error create(struct http_head head, struct wire_create *out)
{
    static struct rules_create_room room;
    *out = (struct wire_create){0};
    return rules_create(&head, MAX_PATH, &room, out, NULL);
}

static void creates(void **state)
{
    struct wire_create out;
    struct http_head head = {0};
    (void)state;
    assert_int_equal(create(head, &out), ERR_NONE);
    assert_int_equal(out.flags, 0);
    assert_int_equal(out.content_type.len, 0);
    assert_int_equal(create(head_with(HTTP_CONTENT_TYPE_HEADER, "Text/Plain; x=y"), &out), ERR_NONE);
    assert_true(slice_equal(out.content_type, SLICE("Text/Plain; x=y")));
    assert_int_equal(create(head_with(HTTP_CONTENT_TYPE_HEADER, ""), &out), ERR_NONE);
    assert_int_equal(out.content_type.len, 0);
    assert_int_equal(create(head_with(HTTP_CONTENT_TYPE_HEADER, "json"), &out), ERR_INVALID_CONTENT_TYPE);
    assert_int_equal(create(head_with(HTTP_STREAM_CLOSED_HEADER, "TRUE"), &out), ERR_NONE);
    assert_int_equal(out.flags, WIRE_CREATE_CLOSED);
    assert_int_equal(create(head_with(HTTP_STREAM_CLOSED_HEADER, "1"), &out), ERR_NONE);
    assert_int_equal(out.flags, 0);
    assert_int_equal(create(head_with(HTTP_STREAM_TTL_HEADER, "60"), &out), ERR_NONE);
    assert_int_equal(out.ttl_s, 60);
    assert_int_equal(create(head_with(HTTP_STREAM_TTL_HEADER, "1099511627777"), &out), ERR_INVALID_TTL);
    assert_int_equal(create(head_with(HTTP_STREAM_TTL_HEADER, ""), &out), ERR_INVALID_TTL);
    assert_int_equal(create(head_with(HTTP_STREAM_EXPIRES_AT_HEADER, "2099-01-01T00:00:00Z"), &out), ERR_NONE);
    assert_int_equal(out.flags, WIRE_CREATE_EXPIRES);
    assert_int_equal(create(head_with(HTTP_STREAM_EXPIRES_AT_HEADER, "soon"), &out), ERR_INVALID_EXPIRES_AT);
    head.headers[HTTP_STREAM_TTL_HEADER] = SLICE("1");
    head.headers[HTTP_STREAM_EXPIRES_AT_HEADER] = SLICE("2099-01-01T00:00:00Z");
    assert_int_equal(create(head, &out), ERR_TTL_EXPIRES_MUTUALLY_EXCLUSIVE);
}

static void retention(void **state)
{
    struct wire_create out;
    struct http_head head = head_with(HTTP_STREAM_RETENTION_BYTES_HEADER, "9007199254740991");
    (void)state;
    assert_int_equal(create(head, &out), ERR_NONE);
    assert_int_equal(out.flags, WIRE_CREATE_RETENTION);
    assert_true(out.retention_bytes == INTEGER_MAX && out.retention_s == 0);
    head.headers[HTTP_STREAM_RETENTION_SECONDS_HEADER] = SLICE("1099511627776");
    assert_int_equal(create(head, &out), ERR_NONE);
    assert_true(out.retention_s == PROJECT_RETENTION_MAX_S);
    head.headers[HTTP_STREAM_RETENTION_SECONDS_HEADER] = SLICE("1099511627777");
    assert_int_equal(create(head, &out), ERR_INVALID_RETENTION);
    static const char *const wrong[] = {"", "0", "00", "01", "-1", "1.0", "9007199254740992"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(create(head_with(HTTP_STREAM_RETENTION_BYTES_HEADER, wrong[i]), &out), ERR_INVALID_RETENTION);
}

static void forks(void **state)
{
    struct wire_create out;
    struct http_head head = head_with(HTTP_STREAM_FORKED_FROM_HEADER, "/v1/stream/p/s");
    (void)state;
    assert_int_equal(create(head, &out), ERR_NONE);
    assert_int_equal(out.flags, WIRE_CREATE_FORK);
    assert_true(slice_equal(out.fork_source, SLICE("p/s")));
    head.headers[HTTP_STREAM_FORK_OFFSET_HEADER] = SLICE("0000000000000000_0000000000000007");
    head.headers[HTTP_STREAM_FORK_SUB_OFFSET_HEADER] = SLICE("3");
    assert_int_equal(create(head, &out), ERR_NONE);
    assert_int_equal(out.flags, WIRE_CREATE_FORK | WIRE_CREATE_FORK_POSITION);
    assert_int_equal(out.fork_position, 7);
    assert_int_equal(out.fork_sub, 3);
    head.headers[HTTP_STREAM_FORK_SUB_OFFSET_HEADER] = SLICE("03");
    assert_int_equal(create(head, &out), ERR_INVALID_FORK_SUB_OFFSET);
    assert_int_equal(create(head_with(HTTP_STREAM_FORKED_FROM_HEADER, ""), &out), ERR_INVALID_FORK_SOURCE);
    assert_int_equal(create(head_with(HTTP_STREAM_FORK_OFFSET_HEADER, "-1"), &out), ERR_INVALID_FORK_OFFSET);
    assert_int_equal(create(head_with(HTTP_STREAM_FORK_SUB_OFFSET_HEADER, "1"), &out), ERR_INVALID_FORK_SUB_OFFSET);
}

static enum error append(struct http_head head, bool has_body, struct wire_append *out)
{
    *out = (struct wire_append){0};
    return rules_append(&head, has_body, out, NULL);
}

static void appends(void **state)
{
    struct wire_append out;
    struct http_head head = head_with(HTTP_CONTENT_TYPE_HEADER, "Text/Plain; charset=utf-8");
    (void)state;
    assert_int_equal(append(head, true, &out), ERR_NONE);
    assert_true(slice_equal(out.content_type, SLICE("Text/Plain; charset=utf-8")));
    assert_int_equal(append(head, false, &out), ERR_EMPTY_BODY);
    head.headers[HTTP_STREAM_CLOSED_HEADER] = SLICE("true");
    assert_int_equal(append(head, false, &out), ERR_NONE);
    assert_int_equal(out.content_type.len, 0);
    assert_int_equal(append((struct http_head){0}, true, &out), ERR_CONTENT_TYPE_REQUIRED);
    assert_int_equal(append(head_with(HTTP_CONTENT_TYPE_HEADER, "nonsense"), true, &out), ERR_INVALID_CONTENT_TYPE);
    head.headers[HTTP_STREAM_SEQ_HEADER] = SLICE("");
    assert_int_equal(append(head, true, &out), ERR_INVALID_STREAM_SEQ);
    head.headers[HTTP_STREAM_SEQ_HEADER] = SLICE("a1");
    assert_int_equal(append(head, true, &out), ERR_NONE);
    assert_int_equal(out.flags, WIRE_APPEND_CLOSE | WIRE_APPEND_STREAM_SEQ);
}

static void expect_producer(const char *id, const char *epoch, const char *seq, enum error error)
{
    struct wire_append out;
    struct http_head head = head_with(HTTP_CONTENT_TYPE_HEADER, "text/plain");
    if (id)
        head.headers[HTTP_PRODUCER_ID_HEADER] = slice_str(id);
    if (epoch)
        head.headers[HTTP_PRODUCER_EPOCH_HEADER] = slice_str(epoch);
    if (seq)
        head.headers[HTTP_PRODUCER_SEQ_HEADER] = slice_str(seq);
    assert_string_equal(error_code(append(head, true, &out)), error_code(error));
}

static void producers(void **state)
{
    (void)state;
    char long_id[RULES_PRODUCER_ID_MAX + 2] = "";
    memset(long_id, 'a', RULES_PRODUCER_ID_MAX);
    expect_producer("p-1_x:y.z", "0", "9007199254740991", ERR_NONE);
    expect_producer("project/chapter 1, \"a+b=\"@caf\xc3\xa9\xff", "0", "0", ERR_NONE);
    expect_producer(long_id, "0", "0", ERR_NONE);
    long_id[RULES_PRODUCER_ID_MAX] = 'a';
    expect_producer(long_id, "0", "0", ERR_PRODUCER_ID_INVALID);
    expect_producer("p", "0", NULL, ERR_PRODUCER_HEADERS_INCOMPLETE);
    expect_producer("p", NULL, "0", ERR_PRODUCER_HEADERS_INCOMPLETE);
    expect_producer(NULL, "0", "0", ERR_PRODUCER_HEADERS_INCOMPLETE);
    expect_producer("", "0", "0", ERR_PRODUCER_ID_INVALID);
    expect_producer("p", "x", "0", ERR_PRODUCER_EPOCH_SEQ_NOT_INTEGERS);
    expect_producer("p", "0", "-1", ERR_PRODUCER_EPOCH_SEQ_NOT_INTEGERS);
    expect_producer("p", "0", "1.5", ERR_PRODUCER_EPOCH_SEQ_NOT_INTEGERS);
    expect_producer("p", "9007199254740992", "0", ERR_PRODUCER_EPOCH_SEQ_OVERFLOW);
    expect_producer("p", "9007199254740992", "x", ERR_PRODUCER_EPOCH_SEQ_NOT_INTEGERS);
}

/* The head of a request with these lines, which point into `text`. */
static struct http_head head_of(enum http_method method, const char *lines, char text[256])
{
    struct http_head head;
    enum error error;
    size_t from = 0, used;
    snprintf(text, 256, "PUT / HTTP/1.1\r\nHost: h\r\n%s\r\n", lines);
    assert_int_equal(http_head_parse(slice_str(text), &from, &head, &used, &error, NULL), HTTP_PARSE_DONE);
    head.method = method;
    return head;
}

static enum error request(enum http_method method, const char *lines, enum route_kind kind)
{
    char text[256];
    struct http_head head = head_of(method, lines, text);
    return rules_request(&head, kind, NULL);
}

static void codings(void **state)
{
    static const enum http_method writes[] = {HTTP_PUT, HTTP_POST, HTTP_DELETE};
    (void)state;
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        assert_int_equal(request(writes[i], "Content-Encoding: gzip\r\n", ROUTE_STREAM),
                         ERR_UNSUPPORTED_CONTENT_ENCODING);
        assert_int_equal(request(writes[i], "Content-Encoding: identity\r\n", ROUTE_STREAM), ERR_NONE);
    }
    assert_int_equal(request(HTTP_GET, "If-None-Match: *\r\nContent-Encoding: gzip\r\n", ROUTE_STREAM), ERR_NONE);
}

/* Which condition a request may have: each row's methods understand the header, and no others. */
static void understood_conditions(void **state)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE};
    static const struct {
        const char *line;
        bool stream[5], config[5], show[5];
    } rows[] = {
        {"If-Modified-Since: x\r\n", {1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}},
        {"If-Unmodified-Since: x\r\n", {0}, {0}, {0}},
        {"If: (x)\r\n", {0}, {0}, {0}},
        {"If-None-Match: *\r\n", {1, 1, 0, 1, 0}, {1, 1, 1, 1, 1}, {1, 1, 0, 0, 0}},
        {"If-Match: *\r\n", {0, 0, 1, 1, 1}, {1, 1, 1, 1, 1}, {0}},
        {"Stream-Expected-Offset: x\r\n", {0, 0, 1, 0, 0}, {0}, {0}},
        {"Stream-Incarnation: x\r\n", {1, 1, 1, 1, 1}, {0}, {0}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t j = 0; j < 5; j++) {
            assert_int_equal(request(methods[j], rows[i].line, ROUTE_STREAM) == ERR_NONE, rows[i].stream[j]);
            assert_int_equal(request(methods[j], rows[i].line, ROUTE_CONFIG) == ERR_NONE, rows[i].config[j]);
            assert_int_equal(request(methods[j], rows[i].line, ROUTE_SHOW) == ERR_NONE, rows[i].show[j]);
        }
    }
}

static void expect_condition(enum http_method method, const char *lines, enum error error, unsigned flags)
{
    char text[256];
    struct http_head head = head_of(method, lines, text);
    struct wire_condition condition;
    assert_string_equal(error_code(conditions_take(&head, &condition, NULL)), error_code(error));
    if (error == ERR_NONE)
        assert_int_equal(condition.flags, flags);
}

#define TAG "\"0000000000000031_0000000000000007\""

static void conditions(void **state)
{
    char text[256];
    struct wire_condition condition;
    struct http_head head = head_of(HTTP_POST, "If-Match: " TAG "\r\nStream-Incarnation: 31\r\n", text);
    (void)state;
    assert_int_equal(conditions_take(&head, &condition, NULL), ERR_NONE);
    assert_int_equal(condition.flags, WIRE_IF_TAIL | WIRE_IF_LIFE);
    assert_true(condition.life == 31 && condition.offset.life == 31 && condition.offset.position == 7);
    head = head_of(HTTP_POST, "If-Match: \"x\"\r\n", text);
    assert_int_equal(conditions_take(&head, &condition, NULL), ERR_NONE);
    assert_true(condition.flags == WIRE_IF_TAIL && condition.offset.position == WIRE_IF_NOWHERE);
    expect_condition(HTTP_POST, "", ERR_NONE, 0);
    expect_condition(HTTP_POST, "If-Match: \"1f:0:7\"\r\n", ERR_NONE, WIRE_IF_TAIL | WIRE_IF_READ);
    expect_condition(HTTP_POST, "If-Match: *\r\n", ERR_NONE, WIRE_IF_TAIL | WIRE_IF_UNSUITED);
    expect_condition(HTTP_POST, "If-Match: " TAG ", " TAG "\r\n", ERR_NONE, WIRE_IF_TAIL | WIRE_IF_UNSUITED);
    expect_condition(HTTP_POST, "If-Match:\r\n", ERR_NONE, WIRE_IF_TAIL);
    expect_condition(HTTP_DELETE, "If-Match: *\r\n", ERR_NONE, WIRE_IF_THERE);
    expect_condition(HTTP_DELETE, "If-Match: \"a\", \"b\"\r\n", ERR_CONDITION_NOT_SUPPORTED, 0);
    expect_condition(HTTP_PUT, "If-None-Match: *\r\nIf-Match: " TAG "\r\n", ERR_NONE, WIRE_IF_ABSENT | WIRE_IF_TAIL);
    expect_condition(HTTP_PUT, "If-None-Match: " TAG "\r\n", ERR_CONDITION_NOT_SUPPORTED, 0);
    expect_condition(HTTP_GET, "If-None-Match: " TAG "\r\nStream-Incarnation: 0\r\n", ERR_NONE, WIRE_IF_LIFE);
    expect_condition(HTTP_GET, "Stream-Incarnation: x\r\n", ERR_INVALID_CONDITION, 0);
    expect_condition(HTTP_GET, "Stream-Incarnation: 99999999999999999\r\n", ERR_INVALID_CONDITION, 0);
    expect_condition(HTTP_POST, "Stream-Expected-Offset: 0000000000000000_0000000000000000\r\n", ERR_NONE,
                     WIRE_IF_EXPECTED);
    expect_condition(HTTP_POST, "Stream-Expected-Offset: now\r\n", ERR_INVALID_CONDITION, 0);
    expect_condition(HTTP_POST, "Stream-Expected-Offset: " TAG "\r\n", ERR_INVALID_CONDITION, 0);
    expect_condition(HTTP_POST, "Stream-Expected-Offset: 0000000000000000_0000000000000000\r\nIf-Match: x\r\n",
                     ERR_CONDITION_NOT_SUPPORTED, 0);
}

static void expect_detail(enum http_header header, const char *value, const char *expected)
{
    struct http_head head = head_with(header, value);
    static struct rules_create_room room;
    struct wire_create create = {0};
    struct wire_append append = {0};
    struct detail detail = {0};
    if (rules_create(&head, MAX_PATH, &room, &create, &detail) == ERR_NONE)
        (void)!rules_append(&head, true, &append, &detail);
    assert_string_equal(detail.text, expected);
}

static void incremental_as(const char *value, bool by_default, bool chunked, enum error expected, bool incremental)
{
    struct http_head head = {.chunked = chunked};
    bool is = false;
    if (value)
        head.headers[HTTP_STREAM_APPEND_HEADER] = slice_str(value);
    assert_int_equal(rules_incremental(&head, by_default, &is, NULL), expected);
    assert_true(expected != ERR_NONE || is == incremental);
    head.headers[HTTP_PRODUCER_SEQ_HEADER] = SLICE("0");
    bool named = value && strcmp(value, "incremental") == 0;
    assert_int_equal(rules_incremental(&head, by_default, &is, NULL), named ? ERR_INVALID_STREAM_APPEND : expected);
    assert_true(named || !is);
}

static void incremental(void **state)
{
    (void)state;
    incremental_as(NULL, false, true, ERR_NONE, false);
    incremental_as(NULL, true, true, ERR_NONE, true);
    incremental_as(NULL, true, false, ERR_NONE, false);
    incremental_as("whole", true, true, ERR_NONE, false);
    incremental_as("incremental", false, false, ERR_NONE, true);
    incremental_as("incremental", true, true, ERR_NONE, true);
    incremental_as("", true, true, ERR_INVALID_STREAM_APPEND, false);
    incremental_as("increment", false, true, ERR_INVALID_STREAM_APPEND, false);
}

static void a_refusal_names_the_header(void **state)
{
    (void)state;
    expect_detail(HTTP_STREAM_TTL_HEADER, "1h",
                  "Stream-TTL must be a whole number of seconds up to 1099511627776 without sign or leading zeros, not "
                  "'1h'");
    expect_detail(HTTP_STREAM_RETENTION_BYTES_HEADER, "0",
                  "Stream-Retention-Bytes must be a whole number from 1 to 9007199254740991 without leading zeros, not "
                  "'0'");
    expect_detail(
        HTTP_STREAM_FORKED_FROM_HEADER, "p/s",
        "Stream-Forked-From must be the path of a stream on this server (/v1/stream/{project}/{stream}), or a "
        "URL with this request's host and port, not 'p/s'");
    expect_detail(HTTP_PRODUCER_EPOCH_HEADER, "1",
                  "Producer-Id, Producer-Epoch and Producer-Seq go together: Producer-Id is missing");
    expect_detail(HTTP_STREAM_SEQ_HEADER, "", "Stream-Seq must be 1 to 256 bytes, not 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creates),
        cmocka_unit_test(retention),
        cmocka_unit_test(forks),
        cmocka_unit_test(appends),
        cmocka_unit_test(producers),
        cmocka_unit_test(codings),
        cmocka_unit_test(understood_conditions),
        cmocka_unit_test(conditions),
        cmocka_unit_test(incremental),
        cmocka_unit_test(a_refusal_names_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
