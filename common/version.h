/* The version of all three programs. */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#define STREAMD_VERSION "0.1.0"

/* Of the databases' schema (shard/store/store_sql.def): raised by every change of it. An older streamd refuses a newer
 * one.
 */
#define STREAMD_DATA_VERSION 12

/* The oldest that is taken over; a database of it becomes a new one when it is opened. In 8, content types have no
 * parameters and no capitals. In 9, no stream and no creation in the journal says that it holds JSON messages. In 10,
 * boundaries have no times, streams have no column `lives`, and their serial numbers count from 1. In 11, the journal
 * is in the database only. */
#define STREAMD_DATA_OLDEST 8

#endif
