/* Whether a project may have more than it uses (project_usage.h). Only projects of the registry have quotas. */
#ifndef ROUTER_AUTH_QUOTA_H
#define ROUTER_AUTH_QUOTA_H

#include <stddef.h>

#include "common/attr.h"
#include "common/errors.h"
#include "common/slice.h"

struct buf;
struct detail;
struct request;
struct suspended_list;

/* What a request about this stream has to wait for: its project's usage, if that has quotas. NULL: nothing. */
struct suspended_list *quota_wait(struct request *request, struct slice name) MUSTUSE;

/* Whether the project may have so many bytes more, by an append, which is counted, or by several; or in a new stream;
 * or one more live reader. An error is for quota_refuse(). */
enum error quota_append(struct request *request, struct slice name, size_t bytes) MUSTUSE;
enum error quota_batch(struct request *request, struct slice name, size_t bytes, size_t appends) MUSTUSE;
enum error quota_create(struct request *request, struct slice name, size_t bytes) MUSTUSE;
enum error quota_read_live(struct request *request, struct slice name) MUSTUSE;

/* Answers with QUOTA_EXCEEDED or QUOTA_RATE_EXCEEDED, when to come back, and what is left of the quotas of the project
 * that was asked about last. */
void quota_refuse(struct request *request, enum error error);

/* The same without the end of the answer: for more headers, and answer_error_end() with *detail. */
struct buf *quota_refuse_begin(struct request *request, enum error error, struct detail *detail);

#endif
