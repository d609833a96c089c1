/* The one list of errors a client can be given, shared by the processes that find them and the one that says them. */
#ifndef COMMON_ERRORS_H
#define COMMON_ERRORS_H

enum error {
#define X(name, status, text) ERR_##name,
#include "common/errors.def"
#undef X
    ERR_COUNT
};

int error_status(enum error e);       /* HTTP status */
const char *error_code(enum error e); /* "STREAM_NOT_FOUND" */
const char *error_text(enum error e);

#endif
