/*                  START                   READY
 *       DOWN ──────────────► STARTING ─────────────► UP
 *        ▲                    ▲  │                   │
 *        │       TIMEOUT: it  │  ├───────────────────┤
 *        │       is due again │  │                   │
 *        │                    │  ├─ DIED ──► WAITING │
 *        │                    └──┼──────────────┘ ▲  │
 *        │                       │                │  │
 *        │                       ├─ TIMEOUT: it ──┼──┴─► KILLED
 *        │                       │  has hung      │        │ │
 *        │                       │                └─ DIED ─┘ │ STOP
 *        │                       │ STOP                      ▼
 *        ├──────── DIED ──── STOPPING ──────── KILL ──────► ENDING
 *        │                                                   │
 *        └──────────────────────── DIED ─────────────────────┘
 *
 * REFUSED is DIED for good: the child goes DOWN and the server gives up. A child without a process goes straight DOWN
 * on STOP and KILL; one with a process is ENDING after KILL. In an upgrade a shard that is UP goes by LEAVING (RENEW)
 * to STARTING; a router by STOPPING (RETIRE) to DOWN. */
#include "supervisor/children/child.h"

#include "common/log.h"

struct step {
    enum child_state next;
    enum child_action action;
};

/* clang-format off */
#define STAY(state) {CHILD_##state, CHILD_NOTHING}
#define TO(state, action) {CHILD_##state, CHILD_##action}

static const struct step child_steps[CHILD_STATES][CHILD_EVENTS] = {
    /*                   START                READY          REPORT         TIMEOUT               DIED                  REFUSED              RENEW                  RETIRE                STOP                    KILL */
    [CHILD_DOWN]     = { TO(STARTING, SPAWN), STAY(DOWN),     STAY(DOWN),     STAY(DOWN),           STAY(DOWN),           STAY(DOWN),          STAY(DOWN),            STAY(DOWN),           STAY(DOWN),             STAY(DOWN)            },
    [CHILD_STARTING] = { STAY(STARTING),      STAY(UP),       STAY(STARTING), TO(KILLED, SIGKILL),  TO(WAITING, NOTHING), TO(DOWN, GIVE_UP),   STAY(STARTING),        TO(ENDING, SIGKILL),  TO(STOPPING, SAY_STOP), TO(ENDING, SIGKILL)   },
    [CHILD_UP]       = { STAY(UP),            STAY(UP),       STAY(UP),       TO(KILLED, SIGKILL),  TO(WAITING, NOTHING), TO(DOWN, GIVE_UP),   TO(LEAVING, SAY_LEAVE), STAY(STOPPING),      TO(STOPPING, SAY_STOP), TO(ENDING, SIGKILL)   },
    [CHILD_KILLED]   = { STAY(KILLED),        STAY(KILLED),   STAY(KILLED),   STAY(KILLED),         TO(WAITING, NOTHING), TO(DOWN, GIVE_UP),   STAY(KILLED),          TO(ENDING, NOTHING),  TO(ENDING, NOTHING),    TO(ENDING, SIGKILL)   },
    [CHILD_WAITING]  = { STAY(WAITING),       STAY(WAITING),  STAY(WAITING),  TO(STARTING, SPAWN),  STAY(WAITING),        STAY(WAITING),       STAY(WAITING),         STAY(DOWN),           STAY(DOWN),             STAY(DOWN)            },
    [CHILD_LEAVING]  = { STAY(LEAVING),       STAY(LEAVING),  STAY(LEAVING),  TO(KILLED, SIGKILL),  TO(STARTING, SPAWN),  TO(STARTING, SPAWN), STAY(LEAVING),         STAY(STOPPING),       TO(STOPPING, SAY_STOP), TO(ENDING, SIGKILL)   },
    [CHILD_STOPPING] = { STAY(STOPPING),      STAY(STOPPING), STAY(STOPPING), STAY(STOPPING),       TO(DOWN, NOTHING),    TO(DOWN, GIVE_UP),   STAY(STOPPING),        STAY(STOPPING),       TO(STOPPING, SAY_STOP), TO(ENDING, SIGKILL)   },
    [CHILD_ENDING]   = { STAY(ENDING),        STAY(ENDING),   STAY(ENDING),   STAY(ENDING),         TO(DOWN, NOTHING),    TO(DOWN, NOTHING),   STAY(ENDING),          STAY(ENDING),         STAY(ENDING),           TO(ENDING, SIGKILL)   },
};
/* clang-format on */

/* A child that lived longer than restart_delay is started again at once; one that keeps dying waits for so long. */
static void child_note_death(struct child *child, const struct child_times *times, uint64_t now)
{
    child->deaths++;
    child->due = now - child->started > times->restart_delay ? now : now + times->restart_delay;
}

enum child_action child_event(struct child *child, enum child_event event, const struct child_times *times,
                              uint64_t now)
{
    if ((unsigned)child->state >= CHILD_STATES || (unsigned)event >= CHILD_EVENTS)
        fatalx("bad state %d or event %d of a child", (int)child->state, (int)event);
    const struct step *step = &child_steps[child->state][event];
    bool speaks = event == CHILD_EVENT_READY || event == CHILD_EVENT_REPORT;
    if ((speaks && child->state != CHILD_LEAVING) || step->action == CHILD_SAY_LEAVE)
        child->reported = now;
    bool died = event == CHILD_EVENT_DIED || event == CHILD_EVENT_REFUSED;
    if (died && child_alive(child) && child->state != CHILD_LEAVING)
        child_note_death(child, times, now);
    if (step->action == CHILD_SPAWN)
        child->started = child->reported = now;
    child->state = step->next;
    return step->action;
}

uint64_t child_deadline(const struct child *child, const struct child_times *times)
{
    if (child->state == CHILD_WAITING)
        return child->due;
    /* One that is LEAVING has that long to be gone. */
    return child_works(child) || child->state == CHILD_LEAVING ? child->reported + times->hang_timeout : UINT64_MAX;
}

const char *child_state_name(enum child_state state)
{
    static const char *const names[CHILD_STATES] = {"down",    "starting", "up",       "killed",
                                                    "waiting", "leaving",  "stopping", "ending"};
    return (unsigned)state < CHILD_STATES ? names[state] : "?";
}
