#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/http/query.h"

#define OFFSET_42 "0000000000000000_0000000000000042"

static struct query expect(const char *text)
{
    struct query query;
    assert_string_equal(error_code(query_parse(slice_str(text), &query, NULL)), "NONE");
    return query;
}

static void expect_error(const char *text, enum error error)
{
    struct query query;
    assert_string_equal(error_code(query_parse(slice_str(text), &query, NULL)), error_code(error));
}

static void offsets(void **state)
{
    (void)state;
    assert_int_equal(expect("").offset.position, 0);
    assert_int_equal(expect("offset=-1").offset.position, 0);
    assert_int_equal(expect("offset=" OFFSET_42).offset.position, 42);
    assert_int_equal(expect("offset=0000000000000000%5F0000000000000042").offset.position, 42);
    assert_int_equal(expect("%6Fffset=" OFFSET_42).offset.position, 42);
    assert_true(expect("offset=now").now);
    assert_false(expect("offset=-1").now);
    assert_true(expect("offset=-1").earliest && expect("").earliest);
    assert_false(expect("offset=now").earliest || expect("offset=0000000000000000_0000000000000000").earliest);
    expect_error("offset=", ERR_EMPTY_QUERY_PARAM);
    expect_error("offset", ERR_EMPTY_QUERY_PARAM);
    expect_error("offset=Now", ERR_INVALID_OFFSET);
    expect_error("offset=42", ERR_INVALID_OFFSET);
    expect_error("offset=" OFFSET_42 "0", ERR_INVALID_OFFSET);
    expect_error("offset=1,2", ERR_INVALID_OFFSET);
    expect_error("offset=-1&offset=-1", ERR_INVALID_QUERY_PARAM);
    expect_error("offset=%", ERR_INVALID_QUERY_PARAM);
    expect_error("offset=%00", ERR_INVALID_QUERY_PARAM);
}

static void starts(void **state)
{
    (void)state;
    struct query query = expect("tail=200");
    assert_true(query.from == WIRE_FROM_TAIL && query.amount == 200 && !query.earliest && !query.now);
    assert_true(expect("tail=0&live=sse").from == WIRE_FROM_TAIL);
    query = expect("before=" OFFSET_42 "&n=7");
    assert_true(query.from == WIRE_FROM_BEFORE && query.offset.position == 42 && query.amount == 7 && !query.earliest);
    query = expect("since=1970-01-01T00:00:01.5Z&live=long-poll");
    assert_true(query.from == WIRE_FROM_SINCE && query.amount == 1500 && !query.earliest);
    assert_int_equal(expect("since=1970-01-01T01:00:01%2B01:00").amount, 1000);
    assert_int_equal(expect("since=1970-01-01T01:00:01+01:00").amount, 1000);
    assert_int_equal(expect("since=1500").amount, 1500);
    assert_int_equal(expect("offset=" OFFSET_42).from, WIRE_FROM_OFFSET);
    for (const char *const *bad =
             (const char *const[]){"tail=", "tail=-1", "tail=x", "tail=1&tail=1", "tail=1&offset=-1", "tail=1&since=1",
                                   "offset=now&before=" OFFSET_42 "&n=1", "n=1", "n=1&tail=1", "before=" OFFSET_42,
                                   "before=" OFFSET_42 "&n=0", "before=" OFFSET_42 "&n=", "since=", "since=soon",
                                   "before=" OFFSET_42 "&n=1&live=sse", "before=" OFFSET_42 "&n=1&limit=1", NULL};
         *bad; bad++)
        expect_error(*bad, ERR_INVALID_QUERY_PARAM);
    expect_error("before=&n=1", ERR_EMPTY_QUERY_PARAM);
    expect_error("before=now&n=1", ERR_INVALID_OFFSET);
    expect_error("before=-1&n=1", ERR_INVALID_OFFSET);
}

static void modes(void **state)
{
    (void)state;
    assert_int_equal(expect("offset=-1").live, QUERY_CATCH_UP);
    assert_int_equal(expect("offset=-1&live=sse").live, QUERY_SSE);
    assert_int_equal(expect("live=long-poll&offset=now").live, QUERY_LONG_POLL);
    expect_error("live=sse", ERR_OFFSET_REQUIRED);
    expect_error("offset=-1&live=", ERR_INVALID_LIVE_MODE);
    expect_error("offset=-1&live=true", ERR_INVALID_LIVE_MODE);
    expect_error("offset=-1&live=sse&live=sse", ERR_INVALID_QUERY_PARAM);
}

static void others(void **state)
{
    (void)state;
    assert_int_equal(expect("cursor=7").cursor, 7);
    assert_int_equal(expect("cursor=abc").cursor, 0);
    assert_int_equal(expect("cursor=9007199254740992").cursor, 9007199254740992);
    expect_error("cursor=9223372036854775808", ERR_INVALID_QUERY_PARAM);
    expect_error("cursor=", ERR_EMPTY_QUERY_PARAM);
    assert_int_equal(expect("limit=10").limit, 10);
    expect_error("limit=0", ERR_INVALID_QUERY_PARAM);
    expect_error("limit=", ERR_INVALID_QUERY_PARAM);
    expect_error("limit=-1", ERR_INVALID_QUERY_PARAM);
    expect_error("limit=1e3", ERR_INVALID_QUERY_PARAM);
    assert_int_equal(expect("x&&y=%zz&x=1&a_key_that_is_far_too_long_to_be_one_of_ours=1&&").offset.position, 0);
}

static void expect_detail(const char *text, const char *expected)
{
    struct query query;
    struct detail detail = {0};
    assert_int_not_equal(query_parse(slice_str(text), &query, &detail), ERR_NONE);
    assert_string_equal(detail.text, expected);
}

static void a_refusal_names_the_parameter(void **state)
{
    (void)state;
    expect_detail("cursor=", "query parameter cursor must not be empty");
    expect_detail("x=1&offset", "query parameter offset must not be empty");
    expect_detail("limit=1&limit=1", "query parameter limit is given twice");
    expect_detail("live=%zz", "query parameter live has a broken percent-encoding or a control character: '%zz'");
    expect_detail("limit=0", "limit must be a whole number of messages from 1, not '0'");
    expect_detail(
        "offset=4%22",
        "offset must be -1 (the start), now (the end), or an offset as Stream-Next-Offset gave it; not '4\"'");
    expect_detail("offset=-1&live=true", "live must be long-poll or sse, not 'true'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(offsets), cmocka_unit_test(starts), cmocka_unit_test(modes),
                                       cmocka_unit_test(others), cmocka_unit_test(a_refusal_names_the_parameter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
