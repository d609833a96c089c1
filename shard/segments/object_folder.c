#include "shard/segments/object_folder.h"

#include "common/log.h"
#include "shard/segments/objects.h"

const char *object_folder_path(const struct objects *objects, char out[OBJECT_ROOT_MAX])
{
    return config_segments(objects->cfg, out, OBJECT_ROOT_MAX);
}

/* The log says once that it is not ours, and once that it is ours again. */
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

void object_folder_claim(struct objects *objects)
{
    (void)!object_folder_look(objects, object_folder_has_samples(objects));
}
