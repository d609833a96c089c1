/* From a head to the handler of its route: what a request is about, whether it may, what it has to wait for. */
#ifndef ROUTER_DISPATCH_H
#define ROUTER_DISPATCH_H

#include "router/conn/incoming.h"

extern const struct dispatcher dispatch;

#endif
