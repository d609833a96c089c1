/* `streamd verify`: checks every database and segment of a data folder, while the server runs or not. */
#ifndef SHARD_TOOLS_VERIFY_H
#define SHARD_TOOLS_VERIFY_H

/* `streamd-shard verify [--quick] [--objects]`; the configuration comes on standard input. Returns the exit status: 1
 * if there is a problem. */
int verify_main(int argc, char **argv);

#endif
