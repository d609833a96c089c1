/* The right that a request was allowed with, and the answer to a refusal. router/auth decides it; answers, readers and
 * caches go by it. */
#ifndef ROUTER_CONN_GRANT_H
#define ROUTER_CONN_GRANT_H

#include <stdint.h>

#include "common/attr.h"
#include "common/detail.h"
#include "common/errors.h"
#include "common/token.h"

struct buf;
struct wire_stream;

#define READER_KEY_BYTES 16

/* All zero: auth.mode = none, everything. */
struct grant {
    bool checked;               /* there is a mode; the rest counts */
    bool anonymous;             /* no token that is good for this: only public streams */
    bool narrow;                /* the token is not for all of the project's streams */
    bool shared;                /* the project is public: its answers are for everyone */
    bool has_reader_key;        /* ?rk= came */
    enum token_fault fault : 8; /* of the token that came, also where none is needed */
    enum scope needed : 8;
    unsigned char reader_key[READER_KEY_BYTES]; /* its hex digits, decoded */
    uint64_t expires_s;                         /* of the token, with the leeway; 0: none */
    uint64_t key;                               /* a mark of the key that verified it (router/auth/mark.h) */
    uint64_t project;                           /* a mark of the project */
};

/* What the callback of auth.mode = callback has answered. */
struct decision {
    enum error error; /* ERR_NONE: it may, up to scope */
    enum scope scope; /* of the path */
    const char
        *refusal; /* of an error: the text of what the request names beside its path; NULL: the path is refused */
    uint64_t asked_ms;
};

/* The error that a client is told instead of this one, and in *detail (NULL: nobody wants to know) why: what nobody may
 * do is refused with what is wrong with the token that came. */
enum error grant_told(const struct grant *grant, enum error error, struct detail *detail);

/* The reader key of a request, in 32 hex digits. Anything else: as if none had come. */
void grant_take_reader_key(struct grant *grant, struct slice digits);

/* The same digits, or "" if none came. */
struct slice grant_reader_key(const struct grant *grant, char room[2 * READER_KEY_BYTES + 1]);

/* What an error of the class ACCESS is counted as: METRIC_REFUSED_*. */
unsigned grant_refusal(const struct grant *grant, enum error error);

/* Adds WWW-Authenticate (RFC 6750 3), if the error has to do with the token. error: as it is told. */
void grant_challenge(const struct grant *grant, enum error error, struct buf *head);

/* The answer about this stream may be kept by caches that many share. */
bool grant_shared(const struct grant *grant, const struct wire_stream *stream) MUSTUSE;

/* Milliseconds until the token of the grant expires; UINT64_MAX if it does not. */
uint64_t grant_left_ms(const struct grant *grant);

#endif
