/* A bucket of an S3-compatible store in the test's own event loop: PUT, GET and DELETE of objects in memory. Answers to
 * GETs of segments can be held back, and the bucket can fail. Signatures are kept, not checked. */
#ifndef UNIT_FAKE_S3_H
#define UNIT_FAKE_S3_H

#include <arpa/inet.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/list.h"
#include "common/mem.h"

struct fake_object {
    struct list link;
    char path[200];
    struct buf bytes;
};

struct fake_s3 {
    struct event_base *base;
    struct event *accept;
    unsigned port;
    struct list objects, held, calls; /* calls: that have not been answered, nor held back */
    struct buf head;                  /* of the last request */
    bool holds;                       /* GETs of segments wait for fake_s3_release() */
    int status;                       /* not 0: of the answers to GETs of segments, instead */
    unsigned gets;                    /* of segments */
    int put_status;                   /* not 0: of the answers to PUTs, instead */
};

struct fake_call {
    struct list link;
    struct fake_s3 *s3;
    struct event *readable;
    int fd;
    struct buf in;
    char path[200];
};

static void fake_s3_end(struct fake_call *call)
{
    list_remove(&call->link);
    event_free(call->readable);
    close(call->fd);
    buf_clear(&call->in);
    free(call);
}

static void fake_s3_answer(struct fake_call *call, int status, struct slice body)
{
    char head[128];
    int len = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
                       body.len);
    bool sent = write(call->fd, head, (size_t)len) == len &&
                (!body.len || write(call->fd, body.data, body.len) == (ssize_t)body.len);
    (void)sent;
    fake_s3_end(call);
}

static struct fake_object *fake_s3_find(struct fake_s3 *s3, const char *path)
{
    LIST_EACH(link, &s3->objects)
    {
        struct fake_object *object = LIST_OWNER(link, struct fake_object, link);
        if (strcmp(object->path, path) == 0)
            return object;
    }
    return NULL;
}

static void fake_s3_forget(struct fake_object *object)
{
    list_remove(&object->link);
    buf_clear(&object->bytes);
    free(object);
}

static void fake_s3_get(struct fake_call *call)
{
    const struct fake_object *object = fake_s3_find(call->s3, call->path);
    bool segment = strstr(call->path, ".seg");
    if (segment && call->s3->status)
        fake_s3_answer(call, call->s3->status, SLICE("<Code>AccessDenied</Code>"));
    else if (object)
        fake_s3_answer(call, 200, buf_slice(&object->bytes));
    else
        fake_s3_answer(call, 404, SLICE("<Error><Code>NoSuchKey</Code></Error>"));
}

static void fake_s3_put(struct fake_call *call, struct slice body)
{
    struct fake_object *object = fake_s3_find(call->s3, call->path);
    if (!object) {
        object = xcalloc(1, sizeof *object);
        snprintf(object->path, sizeof object->path, "%s", call->path);
        list_add_last(&call->s3->objects, &object->link);
    }
    buf_reset(&object->bytes);
    buf_add_slice(&object->bytes, body);
    fake_s3_answer(call, 200, SLICE(""));
}

static void fake_s3_serve(struct fake_call *call, const char *method, struct slice body)
{
    struct fake_object *object = fake_s3_find(call->s3, call->path);
    bool segment = strstr(call->path, ".seg");
    if (strcmp(method, "PUT") == 0 && call->s3->put_status) {
        fake_s3_answer(call, call->s3->put_status, SLICE("<Code>AccessDenied</Code>"));
    } else if (strcmp(method, "PUT") == 0) {
        fake_s3_put(call, body);
    } else if (strcmp(method, "DELETE") == 0) {
        if (object)
            fake_s3_forget(object);
        fake_s3_answer(call, 204, SLICE(""));
    } else if (segment && call->s3->holds) {
        call->s3->gets++;
        list_remove(&call->link);
        list_add_last(&call->s3->held, &call->link);
    } else {
        call->s3->gets += segment;
        fake_s3_get(call);
    }
}

static void fake_s3_on_bytes(evutil_socket_t fd, short what, void *arg)
{
    struct fake_call *call = arg;
    char bytes[65536], method[16];
    ssize_t n = read(fd, bytes, sizeof bytes);
    (void)what;
    if (n <= 0) {
        fake_s3_answer(call, 500, SLICE("")); /* the client is gone */
        return;
    }
    buf_add(&call->in, bytes, (size_t)n);
    struct slice in = buf_slice(&call->in);
    const char *end = memmem(in.data, in.len, "\r\n\r\n", 4);
    if (!end)
        return;
    size_t head = (size_t)(end - in.data) + 4;
    const char *length = memmem(in.data, head, "Content-Length: ", 16);
    size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
    if (in.len < head + body)
        return;
    buf_reset(&call->s3->head);
    buf_add(&call->s3->head, in.data, head);
    buf_add(&call->s3->head, "", 1);
    if (sscanf(buf_slice(&call->s3->head).data, "%15s %199s", method, call->path) == 2)
        fake_s3_serve(call, method, slice_of(in.data + head, body));
}

static void fake_s3_on_connection(evutil_socket_t fd, short what, void *arg)
{
    struct fake_call *call = xcalloc(1, sizeof *call);
    (void)what;
    call->s3 = arg;
    call->fd = accept(fd, NULL, NULL);
    list_add_last(&call->s3->calls, &call->link);
    call->readable = event_new(call->s3->base, call->fd, EV_READ | EV_PERSIST, fake_s3_on_bytes, call);
    event_add(call->readable, NULL);
}

/* Listens on a port of its own. */
static void fake_s3_open(struct fake_s3 *s3, struct event_base *base)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        abort();
    s3->port = ntohs(address.sin_port);
    s3->base = base;
    s3->accept = event_new(base, fd, EV_READ | EV_PERSIST, fake_s3_on_connection, s3);
    event_add(s3->accept, NULL);
    list_init(&s3->objects);
    list_init(&s3->held);
    list_init(&s3->calls);
}

static inline unsigned fake_s3_segments(const struct fake_s3 *s3)
{
    unsigned count = 0;
    LIST_EACH(link, &s3->objects)
    count += strstr(LIST_OWNER(link, struct fake_object, link)->path, ".seg") != NULL;
    return count;
}

/* Answers what was held back, and holds nothing more. */
static inline void fake_s3_release(struct fake_s3 *s3)
{
    s3->holds = false;
    while (!list_empty(&s3->held))
        fake_s3_get(LIST_OWNER(s3->held.next, struct fake_call, link));
}

static void fake_s3_close(struct fake_s3 *s3)
{
    close(event_get_fd(s3->accept));
    event_free(s3->accept);
    while (!list_empty(&s3->held))
        fake_s3_answer(LIST_OWNER(s3->held.next, struct fake_call, link), 500, SLICE(""));
    while (!list_empty(&s3->calls)) /* that the test did not wait for */
        fake_s3_end(LIST_OWNER(s3->calls.next, struct fake_call, link));
    while (!list_empty(&s3->objects))
        fake_s3_forget(LIST_OWNER(s3->objects.next, struct fake_object, link));
    buf_clear(&s3->head);
}

#endif
