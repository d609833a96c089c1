/* The table of errors, made from errors.def: status, class, seconds of Retry-After, code and text of each. The code
 * on the wire is the name in the list, so a new error is one line there. */
#include "common/errors.h"

#include <assert.h>

static const struct {
    int status;
    enum error_class class;
    unsigned retry_after;
    const char *code, *text;
} errors[ERR_COUNT] = {
#define X(name, status, class, retry_after, text) {status, ERROR_##class, retry_after, #name, text},
#include "common/errors.def"
#undef X
};

int error_status(enum error e)
{
    assert(e < ERR_COUNT);
    return errors[e].status;
}

const char *error_code(enum error e)
{
    assert(e < ERR_COUNT);
    return errors[e].code;
}

const char *error_text(enum error e)
{
    assert(e < ERR_COUNT);
    return errors[e].text;
}

enum error_class error_class(enum error e)
{
    assert(e < ERR_COUNT);
    return errors[e].class;
}

unsigned error_retry_after(enum error e)
{
    assert(e < ERR_COUNT);
    return errors[e].retry_after;
}
