/* Whose a store of segments is. server.data_dir/owner names this server, and every store that it uses has the same text
 * in a file or an object of that name. A store without it is not mounted, or is another one: then what is not there is
 * not missing, nothing is put there, and no removal counts as done.
 *
 * server.data_dir/owner.folder and owner.bucket say where the stores are that have the text; such a store gets it only
 * once. A store that was used before there was all this is known by segments that are there. */
#ifndef SHARD_SEGMENTS_OWNER_H
#define SHARD_SEGMENTS_OWNER_H

#include "shard/store/store_segment.h"
#include "common/attr.h"
#include "common/slice.h"

#define OWNER_NAME "owner"
#define OWNER_TEXT_MAX 64
#define OWNER_SAMPLES 8
#define OWNER_WHERE_MAX 512
#define OWNER_WHY_MAX 1024

enum owner_kind { OWNER_FOLDER, OWNER_BUCKET };

struct owner {
    const char *data_dir;
    char text[OWNER_TEXT_MAX];                 /* "": nothing is known of it, and every store is right */
    bool alone;                                /* the folder is the only store */
    struct segment_row samples[OWNER_SAMPLES]; /* some that the database knew at the start */
    size_t count;
};

/* Reads server.data_dir/owner. make: it is made if it is not there. */
void owner_open(struct owner *owner, const char *data_dir, bool make);

/* Makes server.data_dir/owner of the text that a store has. False: that is no such text, or errno is set. */
bool owner_take(const char *data_dir, struct slice text) MUSTUSE;

/* Whether a store of this kind was marked, and where it was. */
bool owner_marked(const struct owner *owner, enum owner_kind kind, char where[OWNER_WHERE_MAX]);

/* Notes that the store there is marked. False: errno is set. */
bool owner_note(const struct owner *owner, enum owner_kind kind, const char *where) MUSTUSE;

/* Whether one of the samples is in the folder. */
bool owner_knows(const struct owner *owner, const char *folder) MUSTUSE;

/* Whether the folder is this server's, or was never used. mark: if so, it is marked. False: `why` says which key is
 * wrong, and how. May be called from any thread. */
bool owner_has(const struct owner *owner, const char *folder, bool mark, char why[OWNER_WHY_MAX]) MUSTUSE;

#endif
