/* Pages of a project's streams, put together of what shards say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/percent.h"
#include "router/handlers/listing.h"

#define MAX 32

/* What a shard would answer that has these names, in order, "" at the end. */
static bool take(struct listing *listing, const char *const *names)
{
    const struct wire_list ask = listing_ask(listing, 1);
    struct wire_listed m = {.id = 1};
    struct buf rows = {0};
    uint32_t count = 0;
    for (; **names; names++) {
        struct slice name = slice_str(*names);
        if (!slice_begins(name, ask.prefix) || slice_compare(name, ask.from) < 0 ||
            (ask.until.len && slice_compare(name, ask.until) > 0))
            continue;
        if (count++ == ask.limit) {
            m.flags = WIRE_LISTED_MORE;
            break;
        }
        m.upto = name;
        wire_put_listed_stream(&rows, &(struct wire_listed_stream){.name = name});
    }
    m.rows = buf_slice(&rows);
    bool good = listing_take(listing, &m);
    buf_clear(&rows);
    return good;
}

/* The names of the page, and what `next` is, parted by spaces. */
static void expect_of(const char *project, const char *query, const char *const shards[][MAX], size_t count,
                      const char *page)
{
    struct listing *listing = listing_new(slice_str(project), slice_str(query), NULL);
    struct buf out = {0}, said = {0};
    assert_non_null(listing);
    for (size_t i = 0; i < count; i++)
        assert_true(take(listing, shards[i]));
    listing_print(listing, &out);
    buf_add_byte(&out, 0);
    for (const char *at = out.data; (at = strstr(at, "\"name\":\"")); at++) {
        at += sizeof "\"name\":\"" - 1;
        buf_add(&said, at, strcspn(at, "\""));
        buf_add_byte(&said, ' ');
    }
    const char *next = strstr(out.data, "],\"next\":") + sizeof "],\"next\":" - 1;
    buf_add(&said, next, strlen(next) - 1);
    buf_add_byte(&said, 0);
    assert_string_equal(said.data, page);
    buf_clear(&out);
    buf_clear(&said);
    listing_free(listing);
}

static void expect(const char *query, const char *const shards[][MAX], size_t count, const char *page)
{
    expect_of("p", query, shards, count, page);
}

/* Without a project names have theirs, and so do prefix, after and next. */
static void lists_all_projects(void **state)
{
    static const char *const shards[2][MAX] = {{"_default/x", "p/a", "p/c", ""}, {"p-q/b", "p/b", "q/a/b", ""}};
    (void)state;
    expect_of("", "", shards, 2, "_default/x p-q/b p/a p/b p/c q/a/b null");
    expect_of("", "limit=2", shards, 2, "_default/x p-q/b \"p-q/b\"");
    expect_of("", "after=p-q/b&limit=2", shards, 2, "p/a p/b \"p/b\"");
    expect_of("", "prefix=p", shards, 2, "p-q/b p/a p/b p/c null");
    expect_of("", "prefix=p/&after=p/b", shards, 2, "p/c null");
    expect_of("", "after=z", shards, 2, "null");
}

static void merges(void **state)
{
    static const char *const shards[3][MAX] = {
        {"p/a", "p/d", "p/e", "p/h", ""}, {""}, {"p/b", "p/c", "p/f", "p/g", "p/i", ""}};
    (void)state;
    expect("", shards, 3, "a b c d e f g h i null");
    expect("limit=9", shards, 3, "a b c d e f g h i null");
    expect("limit=8", shards, 3, "a b c d e f g h \"h\"");
    expect("limit=4", shards, 3, "a b c d \"d\"");
    expect("limit=1", shards, 3, "a \"a\"");
    expect("limit=4&after=d", shards, 3, "e f g h \"h\"");
    expect("limit=4&after=h", shards, 3, "i null");
    expect("after=cc&limit=1", shards, 3, "d \"d\"");
    expect("after=i", shards, 3, "null");
    expect("prefix=f", shards, 3, "f null");
    expect("prefix=f&after=z", shards, 3, "null");
    expect("prefix=f&after=a", shards, 3, "f null");
    expect("", shards, 0, "null");
}

/* A shard that has looked at enough says how far, whatever the limit. */
static void ends_where_a_shard_does(void **state)
{
    static const char *const rest[MAX] = {"p/a", "p/c", "p/e", ""};
    struct listing *listing = listing_new(SLICE("p"), SLICE(""), NULL);
    struct buf out = {0};
    (void)state;
    assert_true(listing_take(listing, &(struct wire_listed){.flags = WIRE_LISTED_MORE, .upto = SLICE("p/d")}));
    assert_true(slice_equal(listing_ask(listing, 1).until, SLICE("p/d")));
    assert_true(take(listing, rest));
    assert_true(listing_take(listing, &(struct wire_listed){.flags = WIRE_LISTED_MORE, .upto = SLICE("p/b")}));
    listing_print(listing, &out);
    buf_add_byte(&out, 0);
    assert_non_null(strstr(out.data, "{\"name\":\"a\","));
    assert_null(strstr(out.data, "{\"name\":\"c\","));
    assert_non_null(strstr(out.data, "],\"next\":\"b\"}"));
    buf_clear(&out);
    listing_free(listing);
}

static void refuses(void **state)
{
    static const char *const bad[] = {"limit=0", "limit=1001", "limit=", "limit=01", "prefix=%", "after=%0a"};
    struct listing *listing = listing_new(SLICE("p"), SLICE("limit=1000"), NULL);
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(listing_new(SLICE("p"), slice_str(bad[i]), NULL));
    assert_false(listing_take(listing, &(struct wire_listed){.rows = SLICE("nonsense")}));
    listing_free(listing);
}

static void percent_goes_both_ways(void **state)
{
    char all[256], back[3 * sizeof all];
    struct buf out = {0};
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    percent_encode(slice_of(all, sizeof all), &out);
    for (size_t i = 0; i < buf_len(&out); i++)
        assert_true(out.data[i] > 0x20 && out.data[i] < 0x7f && !strchr("\"\\&+#?=", out.data[i]));
    buf_reset(&out);
    percent_encode(slice_of(all + 0x20, 0x5f), &out); /* what a name may have */
    percent_encode(slice_of(all + 0x80, 0x80), &out);
    assert_true(percent_decode(buf_slice(&out), back, &len));
    assert_int_equal(len, 0x5f + 0x80);
    assert_memory_equal(back, all + 0x20, 0x5f);
    assert_memory_equal(back + 0x5f, all + 0x80, 0x80);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_all_projects),      cmocka_unit_test(merges),
        cmocka_unit_test(ends_where_a_shard_does), cmocka_unit_test(refuses),
        cmocka_unit_test(percent_goes_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
