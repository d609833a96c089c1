#include "supervisor/control_socket.h"

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

struct console_client {
    struct console_client *next;
    struct console *console;
    int fd;
    struct event *readable;
    char line[LINE_MAX_BYTES];
    size_t len;
    bool waits;
};

/* A folder's name may be longer than a socket's: it goes by way of a descriptor. */
static int control_socket_make_address(const char *data_dir, struct sockaddr_un *address)
{
    int dir = open(data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/console", dir);
    return dir;
}

/* ---- serving ---- */

static void control_socket_forget(struct console_client *client)
{
    struct console_client **at = &client->console->clients;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    client->console->count--;
    event_free(client->readable);
    close(client->fd);
    free(client);
}

/* It is short enough for a socket, which takes it or is gone. */
static void control_socket_answer(struct console_client *client, const char *lines)
{
    struct iovec parts[] = {{(char *)(uintptr_t)lines, strlen(lines)}, {"\n", 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    (void)!sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    control_socket_forget(client);
}

static void control_socket_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct console_client *client = arg;
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
        said = client->console->command(client->console->ctx, client->line);
    }
    client->waits = !said;
    if (said)
        control_socket_answer(client, said);
}

/* Whoever has been there longest and said nothing yet. */
static void control_socket_forget_silent(struct console *console)
{
    struct console_client *found = NULL;
    for (struct console_client *client = console->clients; client; client = client->next)
        if (!client->waits)
            found = client;
    if (found)
        control_socket_forget(found);
}

static void control_socket_on_connection(evutil_socket_t fd, short what, void *arg)
{
    struct console *console = arg;
    (void)what;
    int socket = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0)
        return;
    if (console->count >= CLIENTS_MAX)
        control_socket_forget_silent(console);
    if (console->count >= CLIENTS_MAX) {
        close(socket);
        return;
    }
    struct console_client *client = xcalloc(1, sizeof *client);
    *client = (struct console_client){.console = console, .fd = socket, .next = console->clients};
    client->readable = event_new(console->base, socket, EV_READ | EV_PERSIST, control_socket_on_readable, client);
    if (!client->readable || event_add(client->readable, NULL) != 0)
        fatalx("console: cannot watch a socket");
    console->clients = client;
    console->count++;
}

void console_open(struct console *console, struct event_base *base, const char *data_dir, console_command *command,
                  void *ctx)
{
    struct sockaddr_un address;
    int dir = control_socket_make_address(data_dir, &address);
    *console = (struct console){.base = base, .command = command, .ctx = ctx};
    console->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(address.sun_path);
    mode_t mask = umask(0077);
    if (dir < 0 || console->listener < 0 || bind(console->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(console->listener, CLIENTS_MAX) != 0)
        fatal("%s/console: cannot make the socket", data_dir);
    umask(mask);
    close(dir);
    console->readable = event_new(base, console->listener, EV_READ | EV_PERSIST, control_socket_on_connection, console);
    if (!console->readable || event_add(console->readable, NULL) != 0)
        fatalx("console: cannot watch the socket");
}

void console_close(struct console *console)
{
    console_answer_waiting(console, "error: streamd stops");
    while (console->clients)
        control_socket_forget(console->clients);
    if (!console->readable)
        return;
    event_free(console->readable);
    close(console->listener);
}

void console_answer_waiting(struct console *console, const char *line)
{
    for (struct console_client *client = console->clients, *next; client; client = next) {
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

/* A connection on which the line was said; -1: *why says why not. */
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

int console_ask(const char *data_dir, const char *line)
{
    const char *why;
    int fd = control_socket_say(data_dir, line, &why);
    if (fd < 0)
        return control_socket_fail(data_dir, why);
    int status = control_socket_print_answer(fd, data_dir);
    close(fd);
    return status;
}

bool console_get(const char *data_dir, const char *line, char *answer, size_t size, const char **why)
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
