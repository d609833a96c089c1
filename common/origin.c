/* Origins as browsers send them in the Origin header (RFC 6454, 6.1):
 *
 *     https://app.example.com    http://localhost:5173    https://[2001:db8::1]
 *
 * An origin is compared as text, so only the one spelling that a browser uses is valid: lower case, no default port,
 * no leading zeros, no path, addresses in their canonical form. Another spelling would never match and is refused
 * when it is configured. */
#include "common/origin.h"

#include <arpa/inet.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static bool origin_is_of(struct slice text, const char *characters)
{
    for (size_t i = 0; i < text.len; i++)
        if (!text.data[i] || !strchr(characters, text.data[i]))
            return false;
    return text.len > 0;
}

/* The parts of "scheme://host[:port]"; port.data NULL: there is none. */
struct parts {
    struct slice scheme, host, port;
};

static bool origin_split(struct slice origin, struct parts *parts)
{
    const char *mark = origin.len ? memmem(origin.data, origin.len, "://", 3) : NULL;
    if (!mark)
        return false;
    size_t scheme = (size_t)(mark - origin.data);
    struct slice rest = slice_of(mark + 3, origin.len - scheme - 3);
    const char *bracket = rest.len && *rest.data == '[' ? memchr(rest.data, ']', rest.len) : NULL;
    size_t skip = bracket ? (size_t)(bracket - rest.data) : 0;
    const char *colon = rest.len ? memchr(rest.data + skip, ':', rest.len - skip) : NULL;
    size_t host = colon ? (size_t)(colon - rest.data) : rest.len;
    *parts = (struct parts){.scheme = slice_of(origin.data, scheme), .host = slice_of(rest.data, host)};
    if (colon)
        parts->port = slice_of(colon + 1, rest.len - host - 1);
    return true;
}

/* 80 of http and 443 of https are left out. */
static bool origin_is_default(struct slice scheme, struct slice port)
{
    return (slice_equal(scheme, SLICE("http")) && slice_equal(port, SLICE("80"))) ||
           (slice_equal(scheme, SLICE("https")) && slice_equal(port, SLICE("443")));
}

static bool origin_port_valid(struct slice scheme, struct slice port)
{
    unsigned number = 0;
    if (!port.data)
        return true;
    if (!origin_is_of(port, DIGITS) || port.len > 5 || *port.data == '0' || origin_is_default(scheme, port))
        return false;
    for (size_t i = 0; i < port.len; i++)
        number = number * 10 + (unsigned)(port.data[i] - '0');
    return number <= 65535;
}

/* An address has one spelling (RFC 5952), but that browsers write no dots into one of IPv6. */
static bool origin_address_valid(int family, struct slice text)
{
    char given[INET6_ADDRSTRLEN], spelled[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (text.len >= sizeof given)
        return false;
    memcpy(given, text.data, text.len);
    given[text.len] = 0;
    if (inet_pton(family, given, &address) != 1 || !inet_ntop(family, &address, spelled, sizeof spelled))
        return false;
    if (family == AF_INET6 && strchr(spelled, '.'))
        return !strchr(given, '.');
    return strcmp(given, spelled) == 0;
}

static bool origin_host_valid(struct slice host)
{
    if (host.len > 2 && *host.data == '[' && host.data[host.len - 1] == ']')
        return origin_address_valid(AF_INET6, slice_of(host.data + 1, host.len - 2));
    const char *dot = host.len ? memrchr(host.data, '.', host.len) : NULL;
    size_t label = dot ? (size_t)(dot - host.data) + 1 : 0;
    if (origin_is_of(slice_of(host.data + label, host.len - label), DIGITS))
        return origin_address_valid(AF_INET, host);
    return origin_is_of(host, LOWER DIGITS "-._") && *host.data != '.';
}

bool origin_valid(struct slice origin)
{
    struct parts parts;
    return origin_split(origin, &parts) && origin_is_of(parts.scheme, LOWER DIGITS "+-.") &&
           strchr(LOWER, *parts.scheme.data) && origin_host_valid(parts.host) &&
           origin_port_valid(parts.scheme, parts.port);
}

/* What names the same server without its default port. */
static struct slice origin_without_default(struct slice scheme, struct slice host)
{
    const char *colon = host.len ? memrchr(host.data, ':', host.len) : NULL;
    size_t len = colon ? (size_t)(colon - host.data) : host.len;
    return colon && origin_is_default(scheme, slice_of(colon + 1, host.len - len - 1)) ? slice_of(host.data, len)
                                                                                       : host;
}

bool origin_is_host(struct slice origin, struct slice host)
{
    struct parts parts;
    if (!origin_split(origin, &parts) || !parts.host.len)
        return false;
    const char *end = slice_end(origin);
    struct slice own = slice_of(parts.host.data, (size_t)(end - parts.host.data));
    host = origin_without_default(parts.scheme, host);
    return slice_alike(own, host);
}
