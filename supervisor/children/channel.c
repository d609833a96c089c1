/* Messages leave in order: as long as one waits, all later ones wait behind it. The supervisor's turn tries again
 * (channel_flush()); a child that hangs is killed by its hang timeout, and its channel is closed with what waits. */
#include "supervisor/children/channel.h"

#include <event2/util.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"

struct queued {
    struct queued *next;
    struct control message;
    char *text; /* what message.text points at */
};

void channel_init(struct channel *channel, int fd)
{
    if (fd >= 0)
        evutil_make_socket_nonblocking(fd);
    *channel = (struct channel){.fd = fd};
    channel->last = &channel->first;
}

static void channel_drop_first(struct channel *channel)
{
    struct queued *q = channel->first;
    channel->first = q->next;
    if (!channel->first)
        channel->last = &channel->first;
    if (q->message.fd >= 0)
        close(q->message.fd);
    free(q->text);
    free(q);
}

void channel_close(struct channel *channel)
{
    while (channel->first)
        channel_drop_first(channel);
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = -1;
}

void channel_send(struct channel *channel, const struct control *message)
{
    struct queued *q = xcalloc(1, sizeof *q);
    q->message = *message;
    q->text = xslicedup(message->text);
    q->message.text.data = q->text;
    *channel->last = q;
    channel->last = &q->next;
    channel_flush(channel);
}

bool channel_flush(struct channel *channel)
{
    while (channel->first) {
        enum control_result result = CONTROL_GONE;
        if (channel->fd >= 0)
            result = control_send(channel->fd, &channel->first->message);
        if (result == CONTROL_AGAIN)
            return true;
        channel_drop_first(channel); /* GONE: its death is on its way to us */
    }
    return false;
}
