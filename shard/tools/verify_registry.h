/* The registry: projects and their configurations. */
#ifndef SHARD_TOOLS_VERIFY_REGISTRY_H
#define SHARD_TOOLS_VERIFY_REGISTRY_H

struct verify;

void verify_registry(struct verify *v);

#endif
