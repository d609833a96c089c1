/* The steps that may refuse a start: the data folder's lock and layout, the listening sockets. */
#ifndef SUPERVISOR_PREPARE_H
#define SUPERVISOR_PREPARE_H

struct config;
struct layout;
struct listeners;
struct notify;
struct passed;

/* Locks the data folder, reads or makes its layout, opens the listening sockets, and replaces a 0 in shard.count and
 * router.workers by what it means. Returns the lock's fd. Ends the process if any of it cannot be. */
int prepare(struct config *cfg, struct listeners *listeners, const struct notify *notify, struct passed *passed,
            struct layout *layout);

#endif
