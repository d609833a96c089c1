/* A configuration that is accepted keeps its rules, and is the same after it was printed and read again. */
#include "common/project.h"
#include "tests/fuzz/fuzz.h"

static void check_texts(const struct texts *a, const struct texts *b)
{
    must(a->count == b->count);
    for (size_t i = 0; i < a->count; i++)
        must(slice_equal(slice_str(a->items[i]), slice_str(b->items[i])));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct project project, again;
    struct detail error = {0};
    struct buf printed = {0};
    if (!project_parse(slice_of((const char *)bytes, size), true, &project, &error)) {
        must(*error.text);
        return 0;
    }
    must(project_origins_valid(&project.origins));
    must(project.secrets.count >= 1 && project.secrets.count <= PROJECT_SECRETS_MAX);
    must(project.origins.count <= PROJECT_ORIGINS_MAX);
    project_print(&project, &printed);
    must(project_parse(buf_slice(&printed), true, &again, &error));
    check_texts(&project.secrets, &again.secrets);
    check_texts(&project.origins, &again.origins);
    must(project.is_public == again.is_public);
    project_clear(&project);
    project_clear(&again);
    buf_clear(&printed);
    return 0;
}
