/* streamd-shard: one shard; `streamd-shard move`: brings the databases to another shard count, before any shard runs;
 * `streamd-shard restore latest|NUMBER`: makes them from a backup; `streamd-shard segment FILE`: looks at a file of
 * history; `streamd-shard verify`: at everything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "shard/backup/restore.h"
#include "shard/shard_role.h"
#include "shard/tools/inspect.h"
#include "shard/tools/move.h"
#include "shard/tools/verify.h"

/* Output that cannot be written is an error, even if the command itself found none. */
static int main_printed(int status)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? status : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "move") == 0)
        return move_main(argc, argv);
    if (argc > 2 && strcmp(argv[1], "restore") == 0)
        return restore_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "segment") == 0)
        return main_printed(inspect_main(argc, argv));
    if (argc > 1 && strcmp(argv[1], "verify") == 0)
        return main_printed(verify_main(argc, argv));
    struct shard *shard = xcalloc(1, sizeof *shard);
    struct role role = {
        .kind = ROLE_SHARD,
        .ctx = shard,
        .start = shard_start,
        .peer = shard_peer,
        .backup = shard_backup,
        .leave = shard_leave,
        .stop = shard_stop,
        .turn = shard_turn,
    };
    shard->role = &role;
    int status = role_run(&role, argc, argv);
    shard_close(shard);
    free(shard);
    return status;
}
