/* A stream's messages on standard output. */
#ifndef ROUTER_CLI_MESSAGES_H
#define ROUTER_CLI_MESSAGES_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/slice.h"

/* Prints bytes as they are; on a terminal, what would control it is escaped. */
void messages_print_bytes(struct slice bytes);

/* Prints a JSON array of messages, one a line. False: the text is no such array. */
bool messages_print(struct slice json) MUSTUSE;

/* Prints what a text in base64 (RFC 4648 4) stands for. False: a character is not base64; the bytes before it are
 * printed. */
bool messages_print_base64(struct slice text) MUSTUSE;

#endif
