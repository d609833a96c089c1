/* The key is looked for in this order: the file that s3.credentials names; the file "s3" in $CREDENTIALS_DIRECTORY,
 * where systemd puts credentials; the variables AWS_ACCESS_KEY_ID and so on. The first that is there counts, even if it
 * is incomplete: a typing error in the file must not bring another account's key into use.
 *
 *     [default]
 *     aws_access_key_id = AKIA...
 *     aws_secret_access_key = ...
 *
 * The file is read for every request, so a new key counts at once. */
#include "shard/segments/s3_credentials.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/slice.h"

static void s3_credentials_set(struct s3_credentials *c, struct slice name, struct slice value)
{
    char *to = slice_equal(name, SLICE("aws_access_key_id"))       ? c->key
               : slice_equal(name, SLICE("aws_secret_access_key")) ? c->secret
               : slice_equal(name, SLICE("aws_session_token"))     ? c->token
                                                                   : NULL;
    size_t room = to == c->token ? sizeof c->token : sizeof c->key;
    if (to && value.len < room) {
        memcpy(to, value.data, value.len);
        to[value.len] = '\0';
    }
}

static struct slice s3_credentials_trimmed(const char *text, size_t len)
{
    while (len && isspace((unsigned char)*text)) {
        text++;
        len--;
    }
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    return slice_of(text, len);
}

/* Reads a file like ~/.aws/credentials: the lines before the first section, and those in [default]. */
static bool s3_credentials_read(const char *path, struct s3_credentials *c)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    bool ours = true;
    FILE *file = fopen(path, "re");
    while (file && (len = getline(&line, &room, file)) >= 0) {
        struct slice text = s3_credentials_trimmed(line, (size_t)len);
        const char *equals = memchr(line, '=', (size_t)len);
        if (text.len && *text.data == '[')
            ours = slice_equal(text, SLICE("[default]"));
        else if (ours && equals)
            s3_credentials_set(c, s3_credentials_trimmed(line, (size_t)(equals - line)),
                               s3_credentials_trimmed(equals + 1, (size_t)(line + len - equals) - 1));
    }
    if (line)
        explicit_bzero(line, room);
    free(line);
    if (file)
        fclose(file);
    return file;
}

static void s3_credentials_take_environment(struct s3_credentials *c, const char *variable, const char *name)
{
    const char *value = getenv(variable);
    if (value)
        s3_credentials_set(c, slice_str(name), slice_str(value));
}

bool s3_credentials_find(const struct config *cfg, struct s3_credentials *c)
{
    char path[4096];
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    *c = (struct s3_credentials){0};
    snprintf(path, sizeof path, "%s/s3", folder ? folder : "");
    if (*cfg->s3_credentials)
        (void)!s3_credentials_read(cfg->s3_credentials, c);
    else if (!folder || !s3_credentials_read(path, c)) {
        s3_credentials_take_environment(c, "AWS_ACCESS_KEY_ID", "aws_access_key_id");
        s3_credentials_take_environment(c, "AWS_SECRET_ACCESS_KEY", "aws_secret_access_key");
        s3_credentials_take_environment(c, "AWS_SESSION_TOKEN", "aws_session_token");
    }
    return *c->key && *c->secret;
}
