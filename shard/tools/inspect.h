/* `streamd-shard segment FILE`: prints what a segment's file holds, and checks all of it. */
#ifndef SHARD_TOOLS_INSPECT_H
#define SHARD_TOOLS_INSPECT_H

/* Status 0: it is good; 1: it is damaged, or cannot be read. */
int inspect_main(int argc, char **argv);

#endif
