/* The phases of a running server, and its turn: what is due when the loop wakes up. */
#ifndef SUPERVISOR_PHASES_H
#define SUPERVISOR_PHASES_H

struct handoff;
struct layout;
struct server;

/* Begins MOVING or SERVING, as the layout asks for. */
void phases_begin(struct server *server, const struct layout *layout);

/* Begins SERVING with the children of an earlier program, and goes on with its upgrade. */
void phases_begin_inherited(struct server *server, const struct handoff *handoff);

/* Does what is due, and arms the timer for the next turn. */
void phases_turn(struct server *server);

/* Blocks or unblocks all signals: SIG_BLOCK, SIG_UNBLOCK. */
void phases_set_signals(int how);

#endif
