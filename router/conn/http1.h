/* HTTP/1 on a connection: one request at a time, in its order. */
#ifndef ROUTER_CONN_HTTP1_H
#define ROUTER_CONN_HTTP1_H

#include "router/conn/connection.h"

extern const struct protocol http1;

#endif
