/* Live reads outlast what they were granted with: keys go, projects become private, origins are taken off the list. */
#ifndef ROUTER_LIVE_RECHECK_H
#define ROUTER_LIVE_RECHECK_H

struct request;
struct router;

/* Looks again at what the request's live read was granted, if it is one: it ends if no key of its project verifies its
 * token any more, or if it came without one and neither project nor stream is public; and if the origin of its page is
 * not listed any more, it is sent back. */
void recheck_reader(struct request *request);

/* The same for all of this router. */
void recheck_readers(struct router *router);

#endif
