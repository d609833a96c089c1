/* The version of all three programs. */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#define STREAMD_VERSION "0.1.0"

/* Of the databases' schema (shard/store/store_sql.def): raised by every change of it. An older streamd refuses a newer
 * one.
 */
#define STREAMD_DATA_VERSION 9

/* The oldest that is taken over. In 8, content types have no parameters and no capitals; a database of it becomes a new
 * one when it is opened. */
#define STREAMD_DATA_OLDEST 8

#endif
