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
