#include "supervisor/cli/restore.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/children.h"
#include "supervisor/data_dir.h"

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
    struct fleet fleet;
    struct event_base *base = event_base_new();
    struct event *died = base ? evsignal_new(base, SIGCHLD, restore_on_wake, NULL) : NULL;
    struct event *tick = base ? event_new(base, -1, EV_PERSIST, restore_on_wake, NULL) : NULL;
    if (!died || !tick || event_add(died, NULL) != 0 || event_add(tick, &often) != 0)
        fatalx("cannot make an event loop");
    fleet_init(&fleet, base, lock, NULL, -1);
    fleet_configure(&fleet, cfg);
    fleet_form_once(&fleet, "restore", from);
    fleet_event(&fleet, ROLE_SHARD, CHILD_EVENT_START, fleet_now());
    while (!fleet.gave_up) {
        event_base_loop(base, EVLOOP_ONCE);
        fleet_reap(&fleet, fleet_now());
        fleet_expire(&fleet, fleet_now());
    }
    int status = fleet.give_up_status;
    fleet_clear(&fleet);
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
        fprintf(stderr, "streamd: restore: --from latest or --from and a backup's number is wanted\n");
        return 1;
    }
    if (cfg->segment_store != SEGMENT_STORE_S3) {
        fprintf(stderr, "streamd: restore: backups are in the store of segments; set segment.store = s3\n");
        return EXIT_NEVER_RESTART;
    }
    signal(SIGPIPE, SIG_IGN);
    log_init("supervisor", -1);
    log_configure(cfg->log_level, cfg->log_format);
    int lock = folder_lock(cfg->server_data_dir);
    if (folder_in_use(cfg->server_data_dir) && !folder_half_restored(cfg->server_data_dir))
        fatal_never_restart("%s holds data already; a backup is restored into an empty folder", cfg->server_data_dir);
    int status = restore_shard(cfg, lock, argv[2]);
    if (status == 0)
        puts("restored");
    return status;
}
