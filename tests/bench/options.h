/* The command line of the load generator, from the one table options.def. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

struct options {
#define TEXT(name, preset, help) const char *name;
#define NUMBER(name, preset, min, max, help) unsigned name;
#define FLAG(name, help) bool name;
#include "tests/bench/options.def"
#undef TEXT
#undef NUMBER
#undef FLAG
};

/* Reads `--name value`, `--name=value` and `--flag`; an underscore in a name is written as a dash. What cannot be read
 * ends the program with a line that says why. The texts are borrowed from argv. */
void options_parse(struct options *options, int argc, char **argv);

void options_help(FILE *to);

#endif
