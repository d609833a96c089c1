/* The projects: DATA_DIR/registry.db, which the command line writes and routers read and write, each with a connection
 * of its own. What one writes, the others see at their next look. */
#ifndef COMMON_REGISTRY_H
#define COMMON_REGISTRY_H

#include <stdint.h>

#include "common/attr.h"
#include "common/project.h"

struct registry;

/* Opens it, and makes it (0600) when it is not there. NULL: *why, a static text, says what is wrong. */
struct registry *registry_open(const char *data_dir, const char **why) MUSTUSE;
void registry_close(struct registry *registry);

/* Copies it, as it is now, to a new file. No registry there is as good: no file then. False: it cannot be copied. */
bool registry_copy(const char *data_dir, const char *path) MUSTUSE;

enum registry_result { REGISTRY_OK, REGISTRY_ABSENT, REGISTRY_FAILED };

/* The caller clears the project. FAILED is logged, here and below. */
enum registry_result registry_get(struct registry *registry, struct slice name, struct project *project) MUSTUSE;

/* Creates or replaces it, durably. */
enum registry_result registry_put(struct registry *registry, struct slice name, const struct project *project) MUSTUSE;
enum registry_result registry_delete(struct registry *registry, struct slice name) MUSTUSE;

typedef void registry_visit(void *ctx, struct slice name);
/* Every name, in order. */
enum registry_result registry_names(struct registry *registry, registry_visit *visit, void *ctx) MUSTUSE;

/* A number that changes with every change that another connection has made; cheap enough for every turn. */
uint32_t registry_version(struct registry *registry);

#endif
