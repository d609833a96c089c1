/* The first hundred problems are printed, all are counted. A line names the database and the stream that it is about,
 * by its name or, where no name is known, by its uid:
 *
 *     shard-3.db: stream demo/a%0Ab: its positions are not in order */
#include "shard/tools/verify_report.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "shard/tools/verify_context.h"

#define PRINTED_MAX 100

/* A name may hold any byte, since clients percent-encode them; unprintable ones are encoded again. */
static void verify_report_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (isprint((unsigned char)name.data[i]) && name.data[i] != '%')
            putchar(name.data[i]);
        else
            printf("%%%02X", (unsigned char)name.data[i]);
}

void verify_problem(struct verify *v, const char *format, ...)
{
    va_list arguments;
    if (v->problems++ >= PRINTED_MAX)
        return;
    printf("%s: ", v->database);
    if (v->name.len) {
        fputs("stream ", stdout);
        verify_report_name(v->name);
        fputs(": ", stdout);
    } else if (v->uid) {
        printf("stream %016" PRIx64 ": ", v->uid);
    }
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

void verify_problem_text(void *ctx, const char *text)
{
    verify_problem(ctx, "%s", text);
}

void verify_conclude(const struct verify *v)
{
    if (v->problems > PRINTED_MAX)
        printf("and %" PRIu64 " more problems\n", v->problems - PRINTED_MAX);
    if (v->unread)
        printf("%" PRIu64 " segments are in the store only, and were not read; --objects reads them\n", v->unread);
    printf("verified: %" PRIu64 " databases, %" PRIu64 " streams, %" PRIu64 " segments, %" PRIu64 " problems\n",
           v->databases, v->streams, v->segments, v->problems);
}
