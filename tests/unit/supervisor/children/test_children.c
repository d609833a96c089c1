/* Real child processes: this program itself, by the names of the real ones, which does what FAKE_CHILD says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/control.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/wire.h"
#include "supervisor/children/children.h"

#define PATIENCE_MS 60000u /* however slow the machine is */

/* ---- the fake ---- */

static void fake_say(enum control_type type, unsigned index, struct slice text)
{
    if (control_send(ROLE_CONTROL_FD, &(struct control){.type = type, .index = index, .text = text, .fd = -1}) !=
        CONTROL_DONE)
        _exit(90);
}

/* "dies", "refuses", "strange" (another version), "backs" (says a step of a backup); anything else just works. */
static int fake_main(const char *does)
{
    static char room[CONTROL_MAX];
    struct control message;
    if (control_receive(ROLE_CONTROL_FD, room, &message) != CONTROL_DONE || message.type != CONTROL_CONFIG)
        return 91;
    if (strcmp(does, "refuses") == 0)
        return EXIT_NEVER_RESTART;
    fake_say(CONTROL_READY, strcmp(does, "strange") == 0 ? WIRE_VERSION + 1 : WIRE_VERSION, (struct slice){0});
    if (strcmp(does, "dies") == 0)
        return 3;
    if (strcmp(does, "backs") == 0)
        fake_say(CONTROL_BACKUP, BACKUP_PUT, SLICE("a file"));
    while (control_receive(ROLE_CONTROL_FD, room, &message) == CONTROL_DONE)
        if (message.type == CONTROL_STOP || message.type == CONTROL_SUCCESSOR || message.type == CONTROL_LEAVE)
            return 0;
    return 0;
}

/* ---- the stand ---- */

struct stand {
    char dir[64];
    struct event_base *base;
    struct config cfg;
    struct listeners listeners;
    struct children children;
    unsigned reports, deaths; /* that the hooks were told of */
};

static void make_program(const char *dir, const char *name)
{
    char self[4096], path[128];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(len > 0);
    self[len] = '\0';
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(symlink(self, path), 0);
}

static void on_backup(void *ctx, unsigned shard, enum backup_step step, struct slice text)
{
    struct stand *s = ctx;
    assert_int_equal(shard, 0);
    assert_int_equal(step, BACKUP_PUT);
    assert_true(slice_equal(text, SLICE("a file")));
    s->reports++;
}

static void on_shard_death(void *ctx)
{
    ((struct stand *)ctx)->deaths++;
}

static int setup(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct stand *s = xcalloc(1, sizeof *s);
    snprintf(s->dir, sizeof s->dir, "/tmp/streamd-unit-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    make_program(s->dir, "streamd-shard");
    make_program(s->dir, "streamd-router");
    s->base = event_base_new();
    config_init(&s->cfg);
    assert_int_equal(config_set(&s->cfg, "server.restart_delay=1m", stderr), 0);
    assert_int_equal(config_set(&s->cfg, "server.hang_timeout=10m", stderr), 0);
    s->listeners.fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listeners.fd[0], (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->listeners.fd[0], 1), 0);
    s->listeners.count = 1;
    children_init(&s->children, s->base, STDERR_FILENO, &s->listeners, -1);
    free(s->children.folder);
    s->children.folder = xslicedup(slice_str(s->dir));
    children_configure(&s->children, &s->cfg);
    s->children.hooks = (struct children_hooks){on_backup, on_shard_death, s};
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stand *s = *state;
    char path[128];
    children_event(&s->children, ROLE_SHARD, CHILD_EVENT_KILL, clock_monotonic_ms());
    children_event(&s->children, ROLE_ROUTER, CHILD_EVENT_KILL, clock_monotonic_ms());
    for (unsigned i = 0; i < s->children.count; i++)
        while (s->children.list[i].pid) {
            children_reap(&s->children, clock_monotonic_ms());
            usleep(1000);
        }
    children_clear(&s->children);
    close(s->listeners.fd[0]);
    event_base_free(s->base);
    config_clear(&s->cfg);
    snprintf(path, sizeof path, "%s/streamd-shard", s->dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/streamd-router", s->dir);
    unlink(path);
    rmdir(s->dir);
    free(s);
    return 0;
}

/* A turn of the supervisor. */
static void turn(struct stand *s)
{
    event_base_loop(s->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    children_reap(&s->children, clock_monotonic_ms());
    (void)children_expire(&s->children, clock_monotonic_ms());
    usleep(1000);
}

static void until_state(struct stand *s, const struct process *process, enum child_state state)
{
    uint64_t end = clock_monotonic_ms() + PATIENCE_MS;
    while (process->life.state != state && clock_monotonic_ms() < end)
        turn(s);
    assert_string_equal(child_state_name(process->life.state), child_state_name(state));
}

static struct process *start_shard(struct stand *s, const char *does)
{
    setenv("FAKE_CHILD", does, 1);
    children_form(&s->children, 0, 1);
    children_event(&s->children, ROLE_SHARD, CHILD_EVENT_START, clock_monotonic_ms());
    return children_find(&s->children, ROLE_SHARD, 0, false);
}

/* ---- the tests ---- */

static void one_that_is_ready_is_up_until_it_is_stopped(void **state)
{
    struct stand *s = *state;
    struct process *shard = start_shard(s, "works");
    until_state(s, shard, CHILD_UP);
    assert_true(children_all_in(&s->children, ROLE_SHARD, CHILD_UP));
    assert_true(children_quiet(&s->children));
    children_event(&s->children, ROLE_SHARD, CHILD_EVENT_STOP, clock_monotonic_ms());
    until_state(s, shard, CHILD_DOWN);
    assert_int_equal(shard->pid, 0);
    assert_false(s->children.gave_up);
}

static void one_of_another_version_is_not_ready(void **state)
{
    struct stand *s = *state;
    struct process *shard = start_shard(s, "strange");
    for (int i = 0; i < 200; i++)
        turn(s);
    assert_int_equal(shard->life.state, CHILD_STARTING);
}

static void what_a_shard_says_of_backups_is_passed_on(void **state)
{
    struct stand *s = *state;
    until_state(s, start_shard(s, "backs"), CHILD_UP);
    uint64_t end = clock_monotonic_ms() + PATIENCE_MS;
    while (!s->reports && clock_monotonic_ms() < end)
        turn(s);
    assert_int_equal(s->reports, 1);
    children_event(&s->children, ROLE_SHARD, CHILD_EVENT_STOP, clock_monotonic_ms());
    until_state(s, &s->children.list[0], CHILD_DOWN);
    s->children.hooks = (struct children_hooks){0}; /* and without hooks nothing happens */
    until_state(s, start_shard(s, "backs"), CHILD_UP);
    for (int i = 0; i < 50; i++)
        turn(s);
    assert_int_equal(s->reports, 1);
}

static void one_that_dies_is_started_again_in_its_time(void **state)
{
    struct stand *s = *state;
    struct process *shard = start_shard(s, "dies");
    until_state(s, shard, CHILD_WAITING);
    assert_int_equal(s->deaths, 1);
    assert_int_equal(shard->life.deaths, 1);
    setenv("FAKE_CHILD", "works", 1);
    assert_true(children_expire(&s->children, shard->life.due - 1) <= shard->life.due);
    assert_int_equal(shard->life.state, CHILD_WAITING);
    (void)children_expire(&s->children, shard->life.due);
    until_state(s, shard, CHILD_UP);
}

static void one_that_refuses_ends_the_server(void **state)
{
    struct stand *s = *state;
    until_state(s, start_shard(s, "refuses"), CHILD_DOWN);
    assert_true(s->children.gave_up);
    assert_int_equal(s->children.give_up_status, EXIT_NEVER_RESTART);
}

static void one_that_runs_once_ends_with_its_status(void **state)
{
    struct stand *s = *state;
    setenv("FAKE_CHILD", "dies", 1);
    children_form_once(&s->children, "restore", "latest");
    children_event(&s->children, ROLE_SHARD, CHILD_EVENT_START, clock_monotonic_ms());
    until_state(s, &s->children.list[0], CHILD_DOWN);
    assert_true(s->children.gave_up);
    assert_int_equal(s->children.give_up_status, 3);
}

static void a_router_is_replaced_by_the_one_in_its_other_slot(void **state)
{
    struct stand *s = *state;
    setenv("FAKE_CHILD", "works", 1);
    children_form(&s->children, 1, 0);
    children_event(&s->children, ROLE_ROUTER, CHILD_EVENT_START, clock_monotonic_ms());
    struct process *old = children_find(&s->children, ROLE_ROUTER, 0, false);
    struct process *fresh = children_find(&s->children, ROLE_ROUTER, 0, true);
    assert_int_equal(fresh->slot, old->slot + ROLE_ROUTERS_MAX);
    assert_int_equal(fresh->life.state, CHILD_DOWN); /* a spare is not started with the others */
    until_state(s, old, CHILD_UP);
    children_deliver(fresh, CHILD_EVENT_START, clock_monotonic_ms());
    until_state(s, fresh, CHILD_UP);
    assert_false(children_quiet(&s->children));
    children_replace(old, fresh, clock_monotonic_ms());
    assert_ptr_equal(children_find(&s->children, ROLE_ROUTER, 0, false), fresh);
    until_state(s, old, CHILD_DOWN);
    assert_true(children_quiet(&s->children));
}

static void an_earlier_supervisors_child_goes_on_in_its_slot(void **state)
{
    struct stand *s = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    children_form(&s->children, 1, 1);
    struct children_adopted child = {.kind = ROLE_ROUTER, .slot = ROLE_ROUTERS_MAX, .wire = 7, .pid = pid};
    child.control = pair[0];
    child.deaths = 5;
    assert_true(children_adopt(&s->children, &child, clock_monotonic_ms()));
    struct process *router = children_find(&s->children, ROLE_ROUTER, 0, false);
    assert_int_equal(router->slot, ROLE_ROUTERS_MAX);
    assert_int_equal(router->life.state, CHILD_UP);
    assert_int_equal(router->life.deaths, 5);
    assert_int_equal(router->wire, 7);
    assert_true(router->old);
    child.slot = 1;
    assert_false(children_adopt(&s->children, &child, clock_monotonic_ms())); /* there is no such router */
    close(pair[1]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_is_ready_is_up_until_it_is_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(one_of_another_version_is_not_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_shard_says_of_backups_is_passed_on, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_dies_is_started_again_in_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_refuses_ends_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_runs_once_ends_with_its_status, setup, teardown),
        cmocka_unit_test_setup_teardown(a_router_is_replaced_by_the_one_in_its_other_slot, setup, teardown),
        cmocka_unit_test_setup_teardown(an_earlier_supervisors_child_goes_on_in_its_slot, setup, teardown),
    };
    const char *name = strrchr(argv[0], '/'), *does = getenv("FAKE_CHILD");
    (void)argc;
    if (does && name && strncmp(name, "/streamd-", 9) == 0)
        return fake_main(does);
    log_init("unit", -1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
