/* The version of all three programs. */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#define STREAMD_VERSION "0.1.0"

#endif
