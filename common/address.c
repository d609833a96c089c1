/* Addresses of the configuration, and peers of connections:
 *
 *     127.0.0.1:4437    example.com:0    [::1]:8080      host and port; a host of IPv6 stands in brackets
 *
 * address_parse() looks at the form only; names are resolved where an address is bound. The last colon divides, so
 * an IPv6 address without brackets is refused by its host: it has colons. */
#include "common/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool address_port_valid(const char *port)
{
    size_t len = strlen(port);
    return len >= 1 && len <= 5 && strspn(port, "0123456789") == len && strtoul(port, NULL, 10) <= 65535;
}

static bool address_host_valid(const char *host, bool v6)
{
    struct in6_addr ignored;
    if (v6)
        return inet_pton(AF_INET6, host, &ignored) == 1;
    return host[0] && host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")] == '\0';
}

bool address_parse(const char *text, struct address *address)
{
    const char *colon = strrchr(text, ':');
    if (!colon || strlen(text) >= ADDRESS_MAX || !address_port_valid(colon + 1))
        return false;
    size_t len = (size_t)(colon - text);
    bool v6 = len >= 2 && text[0] == '[' && colon[-1] == ']';
    if (v6) {
        text++;
        len -= 2;
    }
    *address = (struct address){.v6 = v6};
    memcpy(address->host, text, len);
    snprintf(address->port, sizeof address->port, "%s", colon + 1);
    return address_host_valid(address->host, v6);
}

bool address_is_loopback(const struct address *address)
{
    return strncmp(address->host, "127.", 4) == 0 || strcmp(address->host, "::1") == 0 ||
           strcmp(address->host, "localhost") == 0;
}

/* Turns an IPv4 address mapped into IPv6 back into IPv4: sockets that systemd makes take both (RFC 4291 2.5.5.2). */
static void address_unmap(struct sockaddr_storage *address)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    if (address->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6->sin6_port};
    memcpy(&v4.sin_addr, v6->sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
    *address = (struct sockaddr_storage){0};
    memcpy(address, &v4, sizeof v4);
}

bool address_peer(int fd, struct sockaddr_storage *address)
{
    socklen_t len = sizeof *address;
    *address = (struct sockaddr_storage){0};
    if (getpeername(fd, (struct sockaddr *)address, &len) != 0)
        return false;
    address_unmap(address);
    return true;
}
