#include "common/errors.h"

#include <assert.h>

static const struct {
    int status;
    const char *code, *text;
} errors[ERR_COUNT] = {
#define X(name, status, text) {status, #name, text},
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
