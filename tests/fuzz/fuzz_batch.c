/* A body that is read gives a frame and a name for each append, and the names differ; one that is refused says why. */
#include "common/config.h"
#include "common/wire.h"
#include "router/handlers/batch_read.h"
#include "tests/fuzz/fuzz.h"

static void check_appends(const struct batch *batch)
{
    struct slice frames = buf_slice(&batch->frames), names = buf_slice(&batch->names), body;
    struct wire_append m;
    size_t count = 0;
    for (; wire_take(&frames, WIRE_APPEND, &body); count++) {
        must(wire_get_append(body, &m));
        must(names.len && slice_equal(m.name, batch_next_name(&names)));
        must(m.count == m.data.len && (m.count || (m.flags & WIRE_APPEND_CLOSE)));
        struct slice others = names;
        while (others.len)
            must(!slice_equal(m.name, batch_next_name(&others)));
    }
    must(!frames.len && !names.len && count && count == batch->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config cfg;
    struct batch batch = {0};
    struct detail detail = {0};
    if (!cfg.limits_max_path)
        config_init(&cfg);
    enum error error = batch_read(&cfg, SLICE("p"), slice_of((const char *)data, size), &batch, &detail);
    if (error == ERR_NONE)
        check_appends(&batch);
    else
        must(*error_text(error) && (!batch.at_append || *detail.text));
    batch_clear(&batch);
    return 0;
}
