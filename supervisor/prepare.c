/* The order counts. The lock comes first: nothing in the folder is read or written beside another server. The layout
 * comes before the sockets: a server that cannot serve must not accept connections.
 *
 * Failure modes: another server has the lock, a restore was cut short, the layout cannot be read, an address is taken:
 * the process ends here, before it has a child. The lock belongs to an open file that children inherit, so it is free
 * when the last of them is gone (flock(2)). */
#include "supervisor/prepare.h"

#include <sched.h>
#include <sys/resource.h>

#include "common/config.h"
#include "common/log.h"
#include "supervisor/data_dir/data_dir.h"
#include "supervisor/sockets/listener.h"

/* Children inherit the limit: every socket of a client and every end of a pair is a file. */
static void prepare_raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn_errno("cannot raise the limit of open files");
}

static unsigned prepare_half_the_cores(void)
{
    cpu_set_t cores;
    unsigned half = sched_getaffinity(0, sizeof cores, &cores) == 0 ? (unsigned)CPU_COUNT(&cores) / 2 : 1;
    return half < 1 ? 1 : half > 64 ? 64 : half; /* what router.workers can be */
}

int prepare(struct config *cfg, struct listeners *listeners, const struct notify *notify, struct passed *passed,
            struct layout *layout)
{
    prepare_raise_fd_limit();
    int lock = data_dir_lock(cfg->server_data_dir);
    if (data_dir_half_restored(cfg->server_data_dir))
        fatal_never_restart("%s: a restore was cut short; run `streamd restore` again", cfg->server_data_dir);
    data_dir_read_layout(cfg->server_data_dir, cfg->shard_count ? (unsigned)cfg->shard_count : prepare_half_the_cores(),
                         layout);
    /* 0 in the configuration means: as many as there are, or for a new folder half the cores. A machine that has got
     * more cores does not move streams by itself. */
    if (!cfg->shard_count)
        cfg->shard_count = layout->shards;
    if (!cfg->router_workers)
        cfg->router_workers = prepare_half_the_cores();
    listeners_open(listeners, "listen", cfg->router_listen, (unsigned)cfg->router_workers, passed);
    listeners_store(listeners, notify);
    listeners_open_metrics(listeners, cfg->metrics_listen);
    return lock;
}
