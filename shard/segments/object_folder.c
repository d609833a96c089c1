/* The folder of segments: where it is, and whether it is this server's. The answer is looked up each time, not kept: a
 * volume can be unmounted while the server runs. Only the log remembers it (objects.doubted), to say each change once.
 * owner.c decides. */
#include "shard/segments/object_folder.h"

#include "common/log.h"
#include "shard/segments/objects.h"

const char *object_folder_path(const struct objects *objects, char out[OBJECT_ROOT_MAX])
{
    return config_segments(objects->cfg, out, OBJECT_ROOT_MAX);
}

/* Logs once that the folder is not this server's, and once that it is again. */
static bool object_folder_look(struct objects *objects, bool mark)
{
    char room[OBJECT_ROOT_MAX], why[OWNER_WHY_MAX];
    const char *folder = object_folder_path(objects, room);
    bool ours = owner_has(&objects->owner, folder, mark, why);
    if (!ours && !objects->doubted)
        log_error("%s", why);
    else if (ours && objects->doubted)
        log_info("segment.directory: %s is this server's again", folder);
    objects->doubted = !ours;
    return ours;
}

bool object_folder_has_samples(const struct objects *objects)
{
    char room[OBJECT_ROOT_MAX];
    return owner_knows(&objects->owner, object_folder_path(objects, room));
}

bool object_folder_is_ours(struct objects *objects)
{
    return object_folder_look(objects, false);
}

/* At the start, a folder that has segments of ours is marked. An empty one is marked when the first file is put there:
 * it may be the mount point of a volume that is not there yet. */
void object_folder_claim(struct objects *objects)
{
    (void)!object_folder_look(objects, object_folder_has_samples(objects));
}
