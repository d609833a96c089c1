/* "host:port" or "[v6]:port" taken apart. */
#ifndef COMMON_ADDRESS_H
#define COMMON_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/attr.h"

#define ADDRESS_MAX 160 /* bytes of the whole text */

struct address {
    char host[ADDRESS_MAX]; /* without brackets */
    char port[6];           /* decimal, 0 to 65535 */
    bool v6;                /* the host was in brackets */
};

/* Looks at the spelling only: whether the host exists shows when it is resolved. */
bool address_parse(const char *text, struct address *address) MUSTUSE;

/* Only this machine reaches it, by the spelling. */
bool address_is_loopback(const struct address *address) MUSTUSE;

/* The address at the other end of a socket; one of IPv4 also where that came to a socket of IPv6. False, and zeroes: it
 * is gone. */
bool address_peer(int fd, struct sockaddr_storage *address) MUSTUSE;

#endif
