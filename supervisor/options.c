/* The command line is kept as words and read again on every reload: first the file, then each --set over it, in order.
 */
#include "supervisor/options.h"

#include <string.h>
#include <unistd.h>

#include "supervisor/data_dir/data_dir.h"

#define HERE "./data" /* the default of server.data_dir */

bool options_name_nothing(const struct options *options)
{
    static const char key[] = "server.data_dir=";
    for (unsigned i = 0; i < options->set_count; i++)
        if (strncmp(options->sets[i], key, sizeof key - 1) == 0)
            return false;
    return !options->file;
}

/* ./data comes first: a user in a folder that has a server of its own means that server, not the installed one. */
void options_find(struct options *options)
{
    bool here = access(HERE, F_OK) == 0 && data_dir_in_use(HERE);
    if (options_name_nothing(options) && !here && access(OPTIONS_INSTALLED, R_OK) == 0)
        options->file = OPTIONS_INSTALLED;
}

unsigned options_read(const struct options *options, struct config *cfg, FILE *errors)
{
    unsigned count = 0;
    config_init(cfg);
    if (options->file)
        count += config_read_file(cfg, options->file, errors);
    for (unsigned i = 0; i < options->set_count; i++)
        count += config_set(cfg, options->sets[i], errors);
    /* Keys are checked with one another only when each is right by itself. */
    return count ? count : config_check(cfg, errors);
}
