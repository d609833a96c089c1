/* The forms that texts of the configuration have: an origin, a URL, a list of words, a folder ... A form gives a
 * test and the words that an error uses for what was expected. config.def names a form beside each such key.
 *
 *     form_url       https://user@auth.example.com:8443/check?x=1     may have a user, a path and a query
 *     form_endpoint  https://s3.example.com:9000/                     scheme, host and port only
 *     form_hosts     example.com [::1] *                              no ports
 *     form_origins   https://a.example https://b.example              or * alone
 *
 * A form checks characters and structure, never whether the host exists. An empty text is not given to a form: "not
 * set" is for the key's least length. */
#include "common/form.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/project.h"
#include "common/tchar.h"
#include "common/words.h"

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static bool form_is_of(const char *text, const char *characters)
{
    return text[strspn(text, characters)] == '\0';
}

typedef bool word_fits(struct slice word);

static bool form_each_word(const char *text, word_fits *fits)
{
    struct slice word;
    while (words_next(&text, &word))
        if (!fits(word))
            return false;
    return true;
}

/* ---- hosts and URLs ---- */

/* `number > 65535` inside the loop ends a long row of digits before it overflows. */
static bool form_port_fits(struct slice port)
{
    unsigned number = 0;
    for (size_t i = 0; i < port.len; i++) {
        if (port.data[i] < '0' || port.data[i] > '9' || number > 65535)
            return false;
        number = number * 10 + (unsigned)(port.data[i] - '0');
    }
    return number > 0 && number <= 65535;
}

/* `host` has its brackets; inet_pton(3) wants the address without them. */
static bool form_v6_fits(struct slice host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    if (host.len < 4 || host.len - 2 >= sizeof text)
        return false;
    memcpy(text, host.data + 1, host.len - 2);
    text[host.len - 2] = '\0';
    return inet_pton(AF_INET6, text, &ignored) == 1;
}

/* "host" or "[v6]", and ":port" where that is allowed. */
static bool form_host_fits(struct slice host, bool port_allowed)
{
    size_t len = 0;
    bool v6 = host.len && host.data[0] == '[';
    const char *end = v6 ? memchr(host.data, ']', host.len) : NULL;
    if (v6)
        len = end ? (size_t)(end - host.data) + 1 : 0;
    while (!v6 && len < host.len && memchr(ALNUM "-._", host.data[len], sizeof ALNUM "-._" - 1))
        len++;
    if (!len || (v6 && !form_v6_fits(slice_of(host.data, len))))
        return false;
    if (len == host.len)
        return true;
    return port_allowed && host.data[len] == ':' && form_port_fits(slice_of(host.data + len + 1, host.len - len - 1));
}

/* The authority ends at the first "/", "?" or "#" (RFC 3986, 3.2). */
static bool form_split_url(const char *text, struct slice *authority, const char **rest)
{
    size_t scheme = strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;
    *authority = slice_of(text + scheme, strcspn(text + scheme, "/?#"));
    *rest = text + scheme + authority->len;
    return scheme != 0;
}

static bool form_url_fits(const char *text)
{
    struct slice authority;
    const char *rest;
    if (!form_split_url(text, &authority, &rest))
        return false;
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == '#' || *c == '\\')
            return false;
    /* A URL may carry a user for the other server (RFC 3986, 3.2.1); the host begins behind it. */
    const char *at = memchr(authority.data, '@', authority.len);
    size_t user = at ? (size_t)(at - authority.data) + 1 : 0;
    return form_host_fits(slice_of(authority.data + user, authority.len - user), true);
}

static bool form_endpoint_fits(const char *text)
{
    struct slice authority;
    const char *rest;
    return form_split_url(text, &authority, &rest) && form_host_fits(authority, true) && form_is_of(rest, "/");
}

static bool form_is_host(struct slice word)
{
    return slice_equal(word, SLICE("*")) || form_host_fits(word, false);
}

static bool form_hosts_fit(const char *text)
{
    return form_each_word(text, form_is_host);
}

static bool form_is_origin(struct slice word)
{
    return word.len <= PROJECT_ORIGIN_MAX && origin_valid(word);
}

static bool form_origins_fit(const char *text)
{
    return strcmp(text, "*") == 0 || form_each_word(text, form_is_origin);
}

/* ---- names ---- */

static bool form_headers_fit(const char *text)
{
    return form_each_word(text, tchar_all);
}

static bool form_cookie_fits(const char *text)
{
    return tchar_all(slice_str(text));
}

static bool form_bucket_fits(const char *text)
{
    return form_is_of(text, ALNUM "-._");
}

static bool form_prefix_fits(const char *text)
{
    return form_is_of(text, ALNUM "-._/");
}

static bool form_region_fits(const char *text)
{
    return form_is_of(text, ALNUM "-_");
}

const struct form form_url = {"http:// or https:// and a host; a path may follow", form_url_fits};
const struct form form_endpoint = {"http:// or https://, a host and perhaps :port", form_endpoint_fits};
const struct form form_hosts = {"hosts without a port, separated by spaces, or *", form_hosts_fit};
const struct form form_headers = {"names of headers, separated by spaces", form_headers_fit};
const struct form form_origins = {"* alone, or origins separated by spaces, each " ORIGIN_RULE, form_origins_fit};
const struct form form_cookie = {"the name of a cookie: letters, digits and !#$%&'*+-.^_`|~", form_cookie_fits};
const struct form form_bucket = {"letters, digits and - . _", form_bucket_fits};
const struct form form_prefix = {"letters, digits and - . _ /", form_prefix_fits};
const struct form form_region = {"letters, digits and - _", form_region_fits};
