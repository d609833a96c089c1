/* The ground of the doctor's checks: the doctor itself, the verdicts that they print, and the requests that they make.
 */
#ifndef ROUTER_CLI_DOCTOR_CHECK_H
#define ROUTER_CLI_DOCTOR_CHECK_H

#include "common/offset.h"
#include "router/cli/cli.h"
#include "router/cli/cli_request.h"
#include "router/cli/event_stream.h"

#define DOCTOR_PROMPT_MS 3000u /* an answer that takes longer is held back on the way */

struct doctor {
    struct cli *cli;
    char *token;
    char path[400];             /* of its stream */
    struct cli_request request; /* the last request */
    struct buf sent;            /* all that is in the stream */
    uint64_t life;              /* of its stream: the first half of its offsets */
    uint64_t producer;          /* its next sequence number */
    uint64_t idle_ms;           /* how long silence is tested */
    unsigned bad, seen;         /* checks */
    bool reused;                /* a connection was used twice */
    bool made;                  /* there is a stream, to be deleted */
    char said[160];
};

/* One check; it prints a line or more. False: there is no point in going on. */
typedef bool doctor_check(struct doctor *doctor);

/* ---- what the checks say ---- */

PRINTF(3, 4) void doctor_good(struct doctor *doctor, const char *what, const char *format, ...);
PRINTF(3, 4) void doctor_warn(struct doctor *doctor, const char *what, const char *format, ...);
/* advice: what to change, or NULL. */
PRINTF(4, 5) void doctor_bad(struct doctor *doctor, const char *what, const char *advice, const char *format, ...);

/* ---- what they do ---- */

/* Forgets the last request; headers of the next one may be added to the request. */
void doctor_reset(struct doctor *doctor);
/* Asks for the doctor's stream, or for query if that begins with "/"; what is appended is remembered if it was taken.
 * True: there is an answer with this status. */
bool doctor_ask(struct doctor *doctor, const char *method, const char *query, struct slice body, long status) MUSTUSE;
/* An append of a few bytes. */
bool doctor_append(struct doctor *doctor) MUSTUSE;
/* The stream's tail, by all that was appended, as an offset. */
void doctor_tail(const struct doctor *doctor, char offset[OFFSET_LEN + 1]);
/* "504", "403 FORBIDDEN", "no answer: ...": what the last request was answered with. */
const char *doctor_said(struct doctor *doctor);

#endif
