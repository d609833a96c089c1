#include "supervisor/options.h"

unsigned options_read(const struct options *options, struct config *cfg, FILE *errors)
{
    unsigned count = 0;
    config_init(cfg);
    if (options->file)
        count += config_read_file(cfg, options->file, errors);
    for (unsigned i = 0; i < options->set_count; i++)
        count += config_set(cfg, options->sets[i], errors);
    return count ? count : config_check(cfg, errors);
}
