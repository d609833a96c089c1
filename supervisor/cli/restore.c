/* `streamd restore --from latest|NUMBER`. The data folder is locked here, as a server would lock it, and a single
 * shard process does the work: only the shard's program knows databases. It runs as a child, so that a ^C or a crash
 * leaves the folder marked as half restored (supervisor/data_dir/data_dir.h), and the command can be repeated.
 *
 * Failure modes: a folder with data that is not half restored, or a segment store that is not s3, ends with
 * EXIT_NEVER_RESTART; otherwise the exit status is the shard's. */
#include "supervisor/cli/restore.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/children/children.h"
#include "supervisor/data_dir/data_dir.h"

static void restore_on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* it only wakes the loop */
}

/* The shard does the work, once. */
static int restore_shard(const struct config *cfg, int lock, const char *from)
{
    static const struct timeval often = {0, 200000};
    struct children children;
    struct event_base *base = event_base_new();
    struct event *died = base ? evsignal_new(base, SIGCHLD, restore_on_wake, NULL) : NULL;
    struct event *tick = base ? event_new(base, -1, EV_PERSIST, restore_on_wake, NULL) : NULL;
    if (!died || !tick || event_add(died, NULL) != 0 || event_add(tick, &often) != 0)
        fatalx("cannot make an event loop");
    children_init(&children, base, lock, NULL, -1);
    children_configure(&children, cfg);
    /* One shard, with the argument "restore": it ends after its work, and `gave_up` then carries its exit status. */
    children_form_once(&children, "restore", from);
    children_event(&children, ROLE_SHARD, CHILD_EVENT_START, clock_monotonic_ms());
    while (!children.gave_up) {
        event_base_loop(base, EVLOOP_ONCE);
        children_reap(&children, clock_monotonic_ms());
        children_expire(&children, clock_monotonic_ms());
    }
    int status = children.give_up_status;
    children_clear(&children);
    event_free(died);
    event_free(tick);
    event_base_free(base);
    return status;
}

int restore_run(const struct config *cfg, int argc, char **argv)
{
    bool known = argc == 3 && strcmp(argv[1], "--from") == 0;
    if (!known || (strcmp(argv[2], "latest") != 0 && strspn(argv[2], "0123456789") != strlen(argv[2])) || !*argv[2] ||
        strlen(argv[2]) > 16) {
        fprintf(stderr, "streamd: restore: expected --from latest or --from NUMBER\n");
        return 1;
    }
    if (cfg->segment_store != SEGMENT_STORE_S3) {
        fprintf(stderr, "streamd: restore: backups are in the store of segments; set segment.store = s3\n");
        return EXIT_NEVER_RESTART;
    }
    signal(SIGPIPE, SIG_IGN);
    log_init("supervisor", -1);
    log_configure(cfg->log_level, cfg->log_format);
    int lock = data_dir_lock(cfg->server_data_dir);
    if (data_dir_in_use(cfg->server_data_dir) && !data_dir_half_restored(cfg->server_data_dir))
        fatal_never_restart("%s holds data already; a backup is restored into an empty folder", cfg->server_data_dir);
    int status = restore_shard(cfg, lock, argv[2]);
    if (status == 0)
        puts("restored");
    return status;
}
