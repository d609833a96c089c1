/* Serving: the socket reads a client until its line is whole, calls `command`, answers with one send and closes. A
 * command that returns NULL leaves the client waiting (`waits`) until control_socket_answer_waiting(). Clients are
 * local and few; beyond CLIENTS_MAX the oldest client that is not waiting for an answer makes room.
 *
 * Asking: a command connects, sends its line, and reads until the connection ends.
 *
 *     > auth\n           < ok jwt\n              exit 0; "ok" and the spaces behind it are not printed
 *     > (unknown)\n      < error: ...\n          exit 1; the whole answer goes to stderr
 *
 * Failure modes: a client that sends more than LINE_MAX_BYTES without a line end gets an error; a client that hangs
 * up, or sends more while it waits, is dropped; a socket that nobody listens on means that no server works on the
 * folder. */
#include "supervisor/data_dir/control_socket.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"

#define CLIENTS_MAX 16
#define LINE_MAX_BYTES 256
#define ANSWER_PIECE 4096

struct control_socket_client {
    struct control_socket_client *next;
    struct control_socket *control_socket;
    int fd;
    struct event *readable;
    char line[LINE_MAX_BYTES];
    size_t len;
    bool waits;
};

/* A folder's path may be longer than the path of a socket can be, so it goes by way of a descriptor. */
static int control_socket_make_address(const char *data_dir, struct sockaddr_un *address)
{
    int dir = open(data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/console", dir);
    return dir;
}

/* ---- serving ---- */

static void control_socket_forget(struct control_socket_client *client)
{
    struct control_socket_client **at = &client->control_socket->clients;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    client->control_socket->count--;
    event_free(client->readable);
    close(client->fd);
    free(client);
}

/* The answer is short enough for a socket's buffer: the socket takes it, or is gone. */
static void control_socket_answer(struct control_socket_client *client, const char *lines)
{
    struct iovec parts[] = {{(char *)(uintptr_t)lines, strlen(lines)}, {"\n", 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    (void)!sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    control_socket_forget(client);
}

static void control_socket_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct control_socket_client *client = arg;
    (void)what;
    ssize_t n = read(fd, client->line + client->len, sizeof client->line - client->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || client->waits) {
        control_socket_forget(client);
        return;
    }
    client->len += (size_t)n;
    char *end = memchr(client->line, '\n', client->len);
    if (!end && client->len < sizeof client->line)
        return;
    const char *said = "error: a command is one line";
    if (end) {
        *end = '\0';
        said = client->control_socket->command(client->control_socket->ctx, client->line);
    }
    client->waits = !said;
    if (said)
        control_socket_answer(client, said);
}

/* Makes room for a new client: of those that have said nothing yet, the one that has been there longest goes. */
static void control_socket_forget_silent(struct control_socket *control_socket)
{
    struct control_socket_client *found = NULL;
    for (struct control_socket_client *client = control_socket->clients; client; client = client->next)
        if (!client->waits)
            found = client;
    if (found)
        control_socket_forget(found);
}

static void control_socket_on_connection(evutil_socket_t fd, short what, void *arg)
{
    struct control_socket *control_socket = arg;
    (void)what;
    int socket = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0)
        return;
    if (control_socket->count >= CLIENTS_MAX)
        control_socket_forget_silent(control_socket);
    if (control_socket->count >= CLIENTS_MAX) {
        close(socket);
        return;
    }
    struct control_socket_client *client = xcalloc(1, sizeof *client);
    *client =
        (struct control_socket_client){.control_socket = control_socket, .fd = socket, .next = control_socket->clients};
    client->readable =
        event_new(control_socket->base, socket, EV_READ | EV_PERSIST, control_socket_on_readable, client);
    if (!client->readable || event_add(client->readable, NULL) != 0)
        fatalx("control socket: cannot watch a socket");
    control_socket->clients = client;
    control_socket->count++;
}

void control_socket_open(struct control_socket *control_socket, struct event_base *base, const char *data_dir,
                         control_socket_command *command, void *ctx)
{
    struct sockaddr_un address;
    int dir = control_socket_make_address(data_dir, &address);
    *control_socket = (struct control_socket){.base = base, .command = command, .ctx = ctx};
    control_socket->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The caller holds the folder's lock, so no other server uses a socket that is already there. The mask makes the
     * new one 0600: only its owner and root may connect (unix(7)). */
    unlink(address.sun_path);
    mode_t mask = umask(0077);
    if (dir < 0 || control_socket->listener < 0 ||
        bind(control_socket->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(control_socket->listener, CLIENTS_MAX) != 0)
        fatal("%s/console: cannot make the socket", data_dir);
    umask(mask);
    close(dir);
    control_socket->readable =
        event_new(base, control_socket->listener, EV_READ | EV_PERSIST, control_socket_on_connection, control_socket);
    if (!control_socket->readable || event_add(control_socket->readable, NULL) != 0)
        fatalx("control socket: cannot watch the socket");
}

void control_socket_close(struct control_socket *control_socket)
{
    control_socket_answer_waiting(control_socket, "error: streamd stops");
    while (control_socket->clients)
        control_socket_forget(control_socket->clients);
    if (!control_socket->readable)
        return;
    event_free(control_socket->readable);
    close(control_socket->listener);
}

void control_socket_answer_waiting(struct control_socket *control_socket, const char *line)
{
    for (struct control_socket_client *client = control_socket->clients, *next; client; client = next) {
        next = client->next;
        if (client->waits)
            control_socket_answer(client, line);
    }
}

/* ---- asking ---- */

static int control_socket_fail(const char *data_dir, const char *why)
{
    fprintf(stderr, "streamd: %s: %s\n", data_dir, why);
    return 1;
}

static int control_socket_print_answer(int fd, const char *data_dir)
{
    struct buf text = {0};
    ssize_t n;
    while ((n = read(fd, buf_reserve(&text, ANSWER_PIECE), ANSWER_PIECE)) > 0)
        buf_grow(&text, (size_t)n);
    if (!buf_len(&text))
        return control_socket_fail(data_dir, "the streamd that works on the folder gave no answer");
    buf_add_byte(&text, 0);
    const char *said = buf_slice(&text).data;
    bool good = strncmp(said, "ok", 2) == 0;
    fprintf(good ? stdout : stderr, "%s", good ? said + strspn(said + 2, " ") + 2 : said);
    buf_clear(&text);
    return good ? 0 : 1;
}

/* Connects and sends the line. -1: *why says why not. */
static int control_socket_say(const char *data_dir, const char *line, const char **why)
{
    struct sockaddr_un address;
    int dir = control_socket_make_address(data_dir, &address);
    *why = strerror(errno);
    if (dir < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    *why = errno == EACCES ? "a streamd works on the folder, but only its user and root may ask it"
                           : "no streamd works on the folder";
    close(dir);
    if (connected && dprintf(fd, "%s\n", line) >= 0)
        return fd;
    if (connected)
        *why = strerror(errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

int control_socket_ask(const char *data_dir, const char *line)
{
    const char *why;
    int fd = control_socket_say(data_dir, line, &why);
    if (fd < 0)
        return control_socket_fail(data_dir, why);
    int status = control_socket_print_answer(fd, data_dir);
    close(fd);
    return status;
}

bool control_socket_get(const char *data_dir, const char *line, char *answer, size_t size, const char **why)
{
    char text[512];
    size_t len = 0;
    ssize_t n;
    int fd = control_socket_say(data_dir, line, why);
    if (fd < 0)
        return false;
    *why = "the streamd that works on the folder does not know the question";
    while (len < sizeof text - 1 && (n = read(fd, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    text[len] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return strncmp(text, "ok ", 3) == 0 && (size_t)snprintf(answer, size, "%s", text + 3) < size;
}
