/* One thread, two lists:
 *
 *     turn: worker_put() --> to do --> thread: run() --> done --> turn: worker_take(): done(work, shard)
 *                            `--- one lock for both ---'   `-- eventfd: the loop wakes, a turn follows
 *
 * run() has the piece of work to itself: it may use what the piece owns and nothing of the shard. Everything else, the
 * database and libcurl included, belongs to the turn.
 *
 * Failure modes: A piece takes long: others wait behind it, the shard does not. The worker is cleared: the piece under
 * way is waited for, and done() of all is called without a ctx, in the order in which they came. */
#include "shard/segments/worker.h"

#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"

static void worker_on_woken(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;
    (void)what;
    (void)arg; /* a turn follows every event, and takes what is done */
    if (read(fd, &count, sizeof count) < 0)
        return;
}

void worker_init(struct worker *worker, struct event_base *base)
{
    *worker = (struct worker){.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    worker->end = &worker->first;
    worker->done_end = &worker->done_first;
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->wanted, NULL);
    worker->woken = event_new(base, worker->wake, EV_READ | EV_PERSIST, worker_on_woken, NULL);
    if (worker->wake < 0 || !worker->woken || event_add(worker->woken, NULL) != 0)
        fatalx("worker: no descriptor");
}

static struct work *worker_take_first(struct worker *worker)
{
    struct work *work = worker->first;
    worker->first = work->next;
    if (!worker->first)
        worker->end = &worker->first;
    return work;
}

static void *worker_run(void *arg)
{
    struct worker *worker = arg;
    const uint64_t one = 1;
    pthread_mutex_lock(&worker->lock);
    while (!worker->stopping) {
        if (!worker->first) {
            pthread_cond_wait(&worker->wanted, &worker->lock);
            continue;
        }
        struct work *work = worker_take_first(worker);
        pthread_mutex_unlock(&worker->lock);
        work->run(work);
        pthread_mutex_lock(&worker->lock);
        work->next = NULL;
        *worker->done_end = work;
        worker->done_end = &work->next;
        if (write(worker->wake, &one, sizeof one) != sizeof one)
            fatal("worker: eventfd");
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

/* Signals are for the thread that has the loop. */
static void worker_start(struct worker *worker)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&worker->thread, NULL, worker_run, worker) != 0)
        fatalx("worker: cannot start a thread");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    worker->started = true;
}

static void worker_call_done(struct work *work, void *ctx)
{
    for (struct work *next; work; work = next) {
        next = work->next;
        work->done(work, ctx);
    }
}

void worker_clear(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    pthread_cond_signal(&worker->wanted);
    pthread_mutex_unlock(&worker->lock);
    if (worker->started)
        pthread_join(worker->thread, NULL);
    *worker->done_end = worker->first;
    worker_call_done(worker->done_first, NULL);
    event_free(worker->woken);
    close(worker->wake);
    pthread_cond_destroy(&worker->wanted);
    pthread_mutex_destroy(&worker->lock);
}

void worker_put(struct worker *worker, struct work *work)
{
    if (!worker->started)
        worker_start(worker);
    pthread_mutex_lock(&worker->lock);
    work->next = NULL;
    *worker->end = work;
    worker->end = &work->next;
    pthread_cond_signal(&worker->wanted);
    pthread_mutex_unlock(&worker->lock);
}

void worker_take(struct worker *worker, void *ctx)
{
    if (!worker->started)
        return;
    pthread_mutex_lock(&worker->lock);
    struct work *work = worker->done_first;
    worker->done_first = NULL;
    worker->done_end = &worker->done_first;
    pthread_mutex_unlock(&worker->lock);
    worker_call_done(work, ctx);
}
