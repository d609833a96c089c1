/* What comes from a client's socket: heads and bodies, gathered until a request is whole. A body that comes together
 * with its head is used where it was received; any other is collected. */
#ifndef ROUTER_INTAKE_H
#define ROUTER_INTAKE_H

#include "router/client.h"

/* The socket has something. */
void intake_readable(struct client *client);

/* An answer is out: goes on with what came behind its request. */
void intake_resume(struct client *client);

/* Forgets a body that is arriving. */
void intake_drop(struct client *client);

#endif
