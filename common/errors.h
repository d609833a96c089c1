/* The errors that a client can be given (errors.def). Shards find most of them, and send them to routers as numbers. */
#ifndef COMMON_ERRORS_H
#define COMMON_ERRORS_H

enum error {
#define X(name, status, class, retry_after, text) ERR_##name,
#include "common/errors.def"
#undef X
    ERR_COUNT
};

/* The kind of an error: see errors.def. */
enum error_class { ERROR_SUCCESS, ERROR_INPUT, ERROR_UNREADABLE, ERROR_ACCESS, ERROR_STATE, ERROR_QUOTA, ERROR_SERVER };

int error_status(enum error e);       /* HTTP status */
const char *error_code(enum error e); /* "STREAM_NOT_FOUND" */
const char *error_text(enum error e);
enum error_class error_class(enum error e);
unsigned error_retry_after(enum error e); /* seconds after which the client may try again; 0: nobody knows */

#endif
