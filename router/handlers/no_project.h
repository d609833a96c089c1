/* The refusal of a request about a project that is not there. */
#ifndef ROUTER_HANDLERS_NO_PROJECT_H
#define ROUTER_HANDLERS_NO_PROJECT_H

#include "common/detail.h"

struct request;

/* PROJECT_NOT_FOUND; *detail says more where auth.mode has no projects at all. */
enum error no_project(const struct request *request, struct detail *detail);

/* Answers so. */
void no_project_answer(struct request *request);

#endif
