/* Lines of an ini file, taken apart. Pure; a line may have any length. */
#ifndef COMMON_INI_H
#define COMMON_INI_H

#include "common/attr.h"
#include "common/slice.h"

/* [section]
 * key = value ; a comment begins with a space and a semicolon
 * # and a comment line with one of these two characters */
enum ini_kind { INI_END, INI_SECTION, INI_KEY, INI_WRONG };

struct ini {
    struct slice rest; /* the text that was not read yet */
    unsigned line;     /* the number of the line that was read last */
};

struct ini_item {
    enum ini_kind kind;
    struct slice name;    /* of the section, or of the key */
    struct slice value;   /* of the key */
    const char *expected; /* WRONG: a static text that says what a line may be */
};

/* Reads up to the next line that is neither empty nor a comment. Slices point into the text. */
struct ini_item ini_next(struct ini *ini) MUSTUSE;

#endif
