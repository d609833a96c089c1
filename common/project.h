/* The configuration of a project: the keys its tokens are signed with, the origins whose scripts may read its
 * answers, whether everybody may read its streams, and how much it may use. Kept and exchanged as JSON:
 * {"signingSecrets":["..."],"corsOrigins":["..."],"isPublic":false,"jwks":{"keys":[...]},"jwksUrl":"https://...",
 * "quotas":{"streams":1000,"bytes":1000000000,"appendsPerSecond":100,"liveReaders":50},
 * "retention":{"seconds":604800,"bytes":100000000}}. */
#ifndef COMMON_PROJECT_H
#define COMMON_PROJECT_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/detail.h"
#include "common/jwks.h"
#include "common/origin.h"
#include "common/slice.h"

#define PROJECT_NAME_MAX 128u
#define PROJECT_NAME_RULE "a project's name is 1 to 128 of A-Z a-z 0-9 _ -"
#define PROJECT_DEFAULT "_default" /* of paths that name none */
#define PROJECT_SECRETS_MAX 16u
#define PROJECT_SECRET_MIN 32u /* bytes; RFC 7518 3.2 asks HS256 for a key of 256 bits */
#define PROJECT_SECRET_MAX 512u
#define PROJECT_ORIGINS_MAX 64u
#define PROJECT_ORIGIN_MAX 256u
#define PROJECT_KEYS_MAX 16u /* that it lists itself */
#define PROJECT_URL_MAX 1024u

#define PROJECT_RETENTION_MAX_S ((uint64_t)1 << 40)

struct texts {
    char **items;
    size_t count;
};

/* The most a project may use; 0: as much as it likes. */
struct quotas {
    uint64_t streams; /* that exist */
    uint64_t bytes;   /* of messages in them */
    uint64_t appends; /* a second */
    uint64_t readers; /* long-polls and event streams, at a time */
};

#define PROJECT_QUOTAS                                                                                                 \
    QUOTA("streams", streams)                                                                                          \
    QUOTA("bytes", bytes)                                                                                              \
    QUOTA("appendsPerSecond", appends)                                                                                 \
    QUOTA("liveReaders", readers)

/* How much a stream keeps whose creation does not say; 0: everything. */
struct retention {
    uint64_t seconds, bytes;
};

static inline bool project_has_quotas(const struct quotas *quotas)
{
    return quotas->streams || quotas->bytes || quotas->appends || quotas->readers;
}

struct project {
    struct texts secrets; /* the first signs, all verify */
    struct texts origins; /* "*" alone, or some of common/origin.h */
    bool is_public;
    char *jwks;       /* public keys as they were given; NULL: none */
    struct jwks keys; /* and as they are used */
    char *jwks_url;   /* where more of them are; NULL: nowhere */
    struct quotas quotas;
    struct retention retention;
};

struct cJSON;

/* A project's name: 1 to PROJECT_NAME_MAX of A-Z a-z 0-9 _ - */
/* The project of a stream's name, or of what has no more than a project. */
static inline struct slice project_of(struct slice name)
{
    const char *slash = name.len ? memchr(name.data, '/', name.len) : NULL;
    return slice_of(name.data, slash ? (size_t)(slash - name.data) : name.len);
}

/* What follows the project in a stream's name. */
static inline struct slice project_stream(struct slice name)
{
    size_t project = project_of(name).len + 1;
    return project < name.len ? slice_of(name.data + project, name.len - project) : (struct slice){0};
}

bool project_name_valid(struct slice name) MUSTUSE;

/* Reads and checks all of it. False: *detail names the field and what is wrong with
 * it, and project is empty. The caller clears it. Strict, as for
 * one that somebody gives: origins and keys that could never be of use are refused. Otherwise, as for one that is kept
 * since rules were laxer, they stay, and do nothing. */
bool project_parse(struct slice json, bool strict, struct project *project, struct detail *detail) MUSTUSE;

/* Adds it as JSON, secrets and all. */
void project_print(const struct project *project, struct buf *out);

/* The quotas there are, as an object; the caller's. */
struct cJSON *project_quotas(const struct quotas *quotas) MUSTUSE;

void project_clear(struct project *project);

/* "*" or an origin. */
bool project_origin_valid(const char *origin) MUSTUSE;

/* "*" stands alone: with others it would say twice which pages may, and not the same. */
bool project_origins_valid(const struct texts *origins) MUSTUSE;

bool texts_have(const struct texts *texts, struct slice text) MUSTUSE;
void texts_add(struct texts *texts, struct slice text);
void texts_clear(struct texts *texts);
/* False: it is not there. */
bool texts_remove(struct texts *texts, struct slice text) MUSTUSE;

#endif
