/* Rules that take more than one key, checked after all of them have been read:
 *
 *     segment.cache_directory and segment.directory lie apart     files in the cache may be removed
 *     metrics.listen and router.listen differ                     one bind() would fail later
 *     a mode or store that needs another key has it               auth.callback_url, s3.bucket, s3.endpoint
 *
 * Each broken rule is one line on `errors` and counts one. Paths are compared by their names: links are not
 * followed. */
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/config.h"

static const char *config_check_folder_in(const char *folder, const char *data_dir, const char *name, char *out,
                                          size_t size)
{
    if (*folder)
        return folder;
    snprintf(out, size, "%s/%s", data_dir, name);
    return out;
}

const char *config_segments(const struct config *cfg, char *out, size_t size)
{
    return config_check_folder_in(cfg->segment_directory, cfg->server_data_dir, "segments", out, size);
}

const char *config_cache(const struct config *cfg, char *out, size_t size)
{
    return config_check_folder_in(cfg->segment_cache_directory, cfg->server_data_dir, "cache", out, size);
}

/* ---- folders ---- */

/* The next part of a path; "." and empty ones are none. */
static struct slice config_check_next_part(const char **path)
{
    struct slice part;
    do {
        *path += strspn(*path, "/");
        part = slice_of(*path, strcspn(*path, "/"));
        *path += part.len;
    } while (slice_equal(part, SLICE(".")));
    return part;
}

/* By their names: `inner` is `outer`, or lies in it. */
static bool config_check_lies_in(const char *inner, const char *outer)
{
    struct slice part;
    /* An absolute and a relative path cannot be compared by their names, so they count as apart. */
    if ((*inner == '/') != (*outer == '/'))
        return false;
    while ((part = config_check_next_part(&outer)).len)
        if (!slice_equal(part, config_check_next_part(&inner)))
            return false;
    return true;
}

static unsigned config_check_check_folders(const struct config *cfg, FILE *errors)
{
    char segments_room[CONFIG_FOLDER_MAX], cache_room[CONFIG_FOLDER_MAX];
    const char *segments = config_segments(cfg, segments_room, sizeof segments_room);
    const char *cache = config_cache(cfg, cache_room, sizeof cache_room);
    if (!config_check_lies_in(cache, segments) && !config_check_lies_in(segments, cache))
        return 0;
    fprintf(errors,
            "[segment] cache_directory: expected a folder apart from the segments' own (%s), because files in the cache"
            " may be removed, got \"%s\"\n",
            segments, cache);
    return 1;
}

/* ---- addresses ---- */

static bool config_check_is_any(const struct address *address)
{
    return strcmp(address->host, "0.0.0.0") == 0 || strcmp(address->host, "::") == 0;
}

static unsigned config_check_check_addresses(const struct config *cfg, FILE *errors)
{
    struct address clients, metrics;
    if (!*cfg->metrics_listen || !address_parse(cfg->router_listen, &clients) ||
        !address_parse(cfg->metrics_listen, &metrics))
        return 0;
    /* Port 0 is chosen by the kernel, so two of them never collide. */
    unsigned long port = strtoul(clients.port, NULL, 10);
    if (!port || port != strtoul(metrics.port, NULL, 10))
        return 0;
    /* 0.0.0.0 covers every address of its family, and bind() refuses the port on any of them. Families do not
     * collide, because listeners of IPv6 are IPV6_V6ONLY. */
    bool any = clients.v6 == metrics.v6 && (config_check_is_any(&clients) || config_check_is_any(&metrics));
    if (!any && strcmp(clients.host, metrics.host) != 0)
        return 0;
    fprintf(errors, "[metrics] listen: expected another address or port than router.listen (%s), got \"%s\"\n",
            cfg->router_listen, cfg->metrics_listen);
    return 1;
}

/* ---- what one key's value asks of another ---- */

static unsigned config_check_wanted(const char *text, const char *section, const char *key, const char *by,
                                    FILE *errors)
{
    if (*text)
        return 0;
    fprintf(errors, "[%s] %s: expected a value, because %s\n", section, key, by);
    return 1;
}

unsigned config_check(const struct config *cfg, FILE *errors)
{
    unsigned count = config_check_check_folders(cfg, errors) + config_check_check_addresses(cfg, errors);
    if (cfg->auth_mode == AUTH_MODE_CALLBACK)
        count += config_check_wanted(cfg->auth_callback_url, "auth", "callback_url", "auth.mode is callback", errors);
    if (cfg->segment_store == SEGMENT_STORE_S3)
        count += config_check_wanted(cfg->s3_bucket, "s3", "bucket", "segment.store is s3", errors);
    if (*cfg->s3_bucket)
        count += config_check_wanted(cfg->s3_endpoint, "s3", "endpoint", "s3.bucket is set", errors);
    return count;
}
