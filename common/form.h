/* Forms: how the text of a key must look. common/config.def names a form as FORM(…, form, …). */
#ifndef COMMON_FORM_H
#define COMMON_FORM_H

#include <stdbool.h>

struct form {
    const char *expected; /* read after "expected", or in the help */
    bool (*fits)(const char *text);
};

extern const struct form form_url;      /* http:// or https:// */
extern const struct form form_endpoint; /* the same with host and port only */
extern const struct form form_hosts;
extern const struct form form_headers;
extern const struct form form_origins;
extern const struct form form_cookie;
extern const struct form form_bucket;
extern const struct form form_prefix;
extern const struct form form_region;

#endif
