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

/* BUSY: others have been writing for as long as registry_wait() allows; nothing was changed. */
enum registry_result { REGISTRY_OK, REGISTRY_ABSENT, REGISTRY_REFUSED, REGISTRY_BUSY, REGISTRY_FAILED };

/* The longest that a call waits for others that write. Without this call it is ten seconds, which suits a command. */
void registry_wait(struct registry *registry, unsigned ms);

/* The caller clears the project. FAILED is logged, here and below. */
enum registry_result registry_get(struct registry *registry, struct slice name, struct project *project) MUSTUSE;

/* Alters a project (`there`), or fills an empty one (not `there`). False: nothing is written. */
typedef bool registry_change(void *ctx, struct project *project, bool there);

/* Reads a project, alters it and writes it durably, in one transaction: no other writer comes between. REFUSED:
 * `change` returned false. */
enum registry_result registry_update(struct registry *registry, struct slice name, registry_change *change,
                                     void *ctx) MUSTUSE;

enum registry_result registry_delete(struct registry *registry, struct slice name) MUSTUSE;

typedef void registry_visit(void *ctx, struct slice name);
/* Every name, in order. */
enum registry_result registry_names(struct registry *registry, registry_visit *visit, void *ctx) MUSTUSE;

/* A number that changes with every change that another connection has made; cheap enough for every turn. */
uint32_t registry_version(struct registry *registry);

#endif
