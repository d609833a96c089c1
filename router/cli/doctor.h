/* The doctor's checks: each tests one thing between here and a server. */
#ifndef ROUTER_CLI_DOCTOR_H
#define ROUTER_CLI_DOCTOR_H

#include "router/cli/doctor_check.h"

/* doctor_plain.c */
doctor_check doctor_health, doctor_create, doctor_producer, doctor_head, doctor_body, doctor_bytes, doctor_etag,
    doctor_conditions, doctor_stale, doctor_last, doctor_cache, doctor_connections, doctor_delete;
/* doctor_live.c */
doctor_check doctor_events, doctor_poll, doctor_idle;

#endif
