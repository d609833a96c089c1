/* A shard whose commits are durable late: nobody hears of anything before, everything leaves in order, later turns run
 * meanwhile, and a lost commit ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "shard/shard.h"
#include "shard/shard_role.h"
#include "shard/store/commit.h"
#include "shard/store/store.h"

#define TURNS 5 /* enough for everything that can happen to have happened */

/* A keeper that only counts; the test says when what is durable. */
struct late {
    struct commit_keeper keeper;
    uint64_t sealed;
};

struct bench {
    char dir[64];
    struct config cfg;
    struct event_base *base;
    struct shard *shard;
    struct role role;
    struct late late;
    struct commits *commits;
    struct link router;
    uint64_t id;
};

static void late_seal(struct commit_keeper *keeper, uint64_t commit)
{
    ((struct late *)keeper)->sealed = commit;
}

static int setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    struct layout layout;
    int pair[2];
    strcpy(b->dir, "/tmp/streamd-test-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    config_init(&b->cfg);
    free(b->cfg.server_data_dir);
    b->cfg.server_data_dir = xstrdup(b->dir);
    b->cfg.shard_flush_idle = 1000000;
    layout_init(&layout, 2);
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++)
        layout.owner[slot] = 0;
    assert_true(layout_save(b->dir, &layout));
    b->shard = xcalloc(1, sizeof *b->shard);
    b->shard->role = &b->role;
    b->base = event_base_new();
    shard_start(b->shard, b->base, &b->cfg, 0);
    shard_turn(b->shard);
    b->commits = store_commits(b->shard->store);
    b->late.keeper.seal = late_seal;
    b->commits->keeper = &b->late.keeper;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    shard_peer(b->shard, ROLE_ROUTER, 0, pair[0]);
    link_close(&b->router);
    link_open(&b->router, b->base, pair[1], 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char command[128];
    link_close(&b->router);
    shard_close(b->shard);
    free(b->shard);
    event_base_free(b->base);
    config_clear(&b->cfg);
    snprintf(command, sizeof command, "rm -r %s", b->dir);
    free(b);
    return system(command);
}

static void turns(struct bench *b)
{
    link_flush(&b->router);
    for (int i = 0; i < TURNS; i++) {
        event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        shard_turn(b->shard);
    }
}

/* Everything that has left until now: the types of the frames, and the ids of answers. */
struct heard {
    unsigned count;
    enum wire_type types[16];
    uint64_t ids[16];
};

static struct heard hear(struct bench *b)
{
    struct heard heard = {0};
    enum wire_type type;
    struct slice body;
    size_t cursor = 0;
    event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    (void)link_receive(&b->router, 1 << 20);
    while (link_next(&b->router, &cursor, &type, &body)) {
        struct wire_appended appended;
        struct wire_stream stream;
        assert_in_range(heard.count, 0, 15);
        heard.types[heard.count] = type;
        if (type == WIRE_APPENDED && wire_get_appended(body, &appended))
            heard.ids[heard.count] = appended.id;
        if (type == WIRE_STREAM && wire_get_stream(body, &stream))
            heard.ids[heard.count] = stream.id;
        heard.count++;
    }
    link_release(&b->router, cursor);
    return heard;
}

static void expect(const struct heard *heard, unsigned at, enum wire_type type, uint64_t id)
{
    assert_in_range(at, 0, heard->count - 1);
    assert_int_equal(heard->types[at], type);
    assert_int_equal(heard->ids[at], id);
}

static uint64_t create(struct bench *b, const char *name)
{
    wire_put_create(&b->router.out, &(struct wire_create){.id = ++b->id,
                                                          .name = slice_str(name),
                                                          .content_type = SLICE("text/plain"),
                                                          .data = SLICE("")});
    return b->id;
}

static uint64_t append(struct bench *b, const char *name, const char *data)
{
    wire_put_append(&b->router.out, &(struct wire_append){.id = ++b->id,
                                                          .name = slice_str(name),
                                                          .content_type = SLICE("text/plain"),
                                                          .count = strlen(data),
                                                          .data = slice_str(data)});
    return b->id;
}

static uint64_t read_of(struct bench *b, const char *name, uint64_t watch)
{
    wire_put_read(&b->router.out,
                  &(struct wire_read){.id = ++b->id, .name = slice_str(name), .max_bytes = 1 << 20, .watch = watch});
    return b->id;
}

static void durable(struct bench *b, uint64_t commit)
{
    commits_durable(b->commits, commit);
}

/* ---- the tests ---- */

static void answers_and_events_wait_for_their_commit(void **state)
{
    struct bench *b = *state;
    uint64_t created = create(b, "p/a");
    turns(b);
    uint64_t first = b->late.sealed;
    uint64_t watching = read_of(b, "p/a", 77); /* writes nothing, and has seen a stream that may be taken back */
    turns(b);
    assert_int_equal(b->late.sealed, first);
    assert_int_equal(hear(b).count, 0);

    uint64_t appended = append(b, "p/a", "one");
    turns(b);
    uint64_t second = b->late.sealed;
    assert_int_equal(second, first + 1);
    assert_int_equal(streams_newest(&b->shard->streams)->tail, 3); /* the turn has run */
    assert_int_equal(hear(b).count, 0);

    durable(b, first);
    struct heard heard = hear(b);
    assert_int_equal(heard.count, 2);
    expect(&heard, 0, WIRE_STREAM, created);
    expect(&heard, 1, WIRE_STREAM, watching);
    turns(b);
    assert_int_equal(hear(b).count, 0);

    durable(b, second);
    heard = hear(b);
    assert_int_equal(heard.count, 2);
    expect(&heard, 0, WIRE_APPENDED, appended);
    expect(&heard, 1, WIRE_EVENT, 0);
}

static void many_turns_run_meanwhile_and_leave_in_order(void **state)
{
    struct bench *b = *state;
    uint64_t ids[6] = {create(b, "p/a")}, commits[6];
    for (int i = 0; i < 6; i++) {
        if (i)
            ids[i] = append(b, "p/a", "x");
        turns(b);
        commits[i] = b->late.sealed;
        assert_int_equal(commits[i], commits[0] + (uint64_t)i);
    }
    assert_int_equal(streams_newest(&b->shard->streams)->tail, 5);
    assert_int_equal(hear(b).count, 0);
    durable(b, commits[1]);
    struct heard heard = hear(b);
    assert_int_equal(heard.count, 2);
    expect(&heard, 0, WIRE_STREAM, ids[0]);
    expect(&heard, 1, WIRE_APPENDED, ids[1]);
    durable(b, commits[5]);
    heard = hear(b);
    assert_int_equal(heard.count, 4);
    for (unsigned i = 0; i < 4; i++)
        expect(&heard, i, WIRE_APPENDED, ids[i + 2]);
}

/* A router that comes back in between hears nothing of what its predecessor asked, and all of what it asks itself. */
static void a_new_link_begins_anew(void **state)
{
    struct bench *b = *state;
    int pair[2];
    create(b, "p/a");
    turns(b);
    uint64_t first = b->late.sealed;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    link_close(&b->router);
    link_open(&b->router, b->base, pair[1], 0);
    turns(b);
    shard_peer(b->shard, ROLE_ROUTER, 0, pair[0]);
    uint64_t read = read_of(b, "p/a", 0);
    turns(b);
    assert_int_equal(hear(b).count, 0);
    durable(b, first);
    struct heard heard = hear(b);
    assert_int_equal(heard.count, 1);
    expect(&heard, 0, WIRE_STREAM, read);
}

#define SOON 12000 /* tries, of five milliseconds: only a hang takes all of them */
#define NEVER 20   /* tries after which a message that must not leave would have come */

static bool take_message(struct bus *bus, struct bench *b, size_t *len, int tries)
{
    struct slice message;
    for (int i = 0; i < tries; i++) {
        event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        shard_turn(b->shard);
        if (bus_receive(bus, &message)) {
            *len = message.len;
            bus_release(message);
            return true;
        }
        usleep(5000);
    }
    return false;
}

/* What goes to other shards over the bus waits, too. The shard that it is for is a socket here. */
static void messages_on_the_bus_wait_for_their_commit(void **state)
{
    struct bench *b = *state;
    struct bus other;
    struct feed_peer *peer = &b->shard->streams.feeds.peers[1];
    size_t len;
    bus_open(&other, b->base, b->dir, 1);
    create(b, "p/a");
    buf_add(&peer->out.frames, "first.", 6);
    turns(b);
    uint64_t first = b->late.sealed;
    append(b, "p/a", "x");
    buf_add(&peer->out.frames, "second", 6);
    turns(b);
    assert_false(take_message(&other, b, &len, NEVER));
    durable(b, first);
    assert_true(take_message(&other, b, &len, SOON));
    assert_int_equal(len, 6); /* the first only */
    assert_false(take_message(&other, b, &len, NEVER));
    durable(b, b->late.sealed);
    assert_true(take_message(&other, b, &len, SOON));
    assert_int_equal(len, 6);
    assert_int_equal(buf_len(&peer->out.frames), 0);
    bus_close(&other);
}

static unsigned count_file(const char *dir)
{
    unsigned count = 0;
    DIR *folder = opendir(dir);
    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder)) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        count += entry->d_type == DT_DIR ? count_file(path) : strcmp(entry->d_name, "owner") != 0;
    }
    if (folder)
        closedir(folder);
    return count;
}

/* Files of segments, after enough turns and time for the worker. */
/* A minute of patience for the worker's thread to bring about `expected`; and in any case some turns, in which what
 * must not happen yet could happen. */
static void expect_segment_files(struct bench *b, unsigned expected)
{
    char dir[128];
    snprintf(dir, sizeof dir, "%s/segments", b->dir);
    for (int i = 0; i < 30 || (count_file(dir) != expected && i < 30000); i++) {
        turns(b);
        usleep(2000);
    }
    assert_int_equal(count_file(dir), expected);
}

/* The row that announces a file is durable before the file is made; the row that drops it, before it is removed. */
static void files_of_segments_wait_for_their_rows(void **state)
{
    struct bench *b = *state;
    b->cfg.segment_max_bytes = 8;
    create(b, "p/a");
    append(b, "p/a", "more than eight bytes");
    turns(b);
    durable(b, b->late.sealed);
    b->cfg.shard_flush_idle = 0;
    expect_segment_files(b, 0);
    durable(b, b->late.sealed); /* the chunks, and the name of the file */
    expect_segment_files(b, 1);
    durable(b, b->late.sealed); /* it is a segment */
    wire_put_delete(&b->router.out, &(struct wire_delete){.id = ++b->id, .name = SLICE("p/a")});
    b->shard->tick_due = true;
    turns(b);
    for (int i = 0; i < 5; i++) {
        b->shard->tick_due = true;
        b->shard->upkeep_ms = 0;
        expect_segment_files(b, 1); /* an orphan, of a commit that may be lost */
    }
    durable(b, b->late.sealed);
    expect_segment_files(b, 0);
}

static void a_lost_commit_ends_the_shard_and_nobody_has_heard(void **state)
{
    struct bench *b = *state;
    int status;
    create(b, "p/a");
    turns(b);
    pid_t child = fork();
    if (child == 0) {
        log_init("test", -1);
        (void)!freopen("/dev/null", "w", stderr);
        commits_failed(b->commits, b->late.sealed, "another process owns this shard");
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_int_equal(hear(b).count, 0);
}

/* With the database as its own keeper every turn is durable when it ends. */
static void the_local_database_keeps_nobody_waiting(void **state)
{
    struct bench *b = *state;
    b->commits->keeper = NULL;
    uint64_t created = create(b, "p/a");
    turns(b);
    struct heard heard = hear(b);
    assert_int_equal(heard.count, 1);
    expect(&heard, 0, WIRE_STREAM, created);
    assert_null(b->shard->peers.routers[0].release.marks.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_and_events_wait_for_their_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(many_turns_run_meanwhile_and_leave_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_link_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_on_the_bus_wait_for_their_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(files_of_segments_wait_for_their_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_commit_ends_the_shard_and_nobody_has_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(the_local_database_keeps_nobody_waiting, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
