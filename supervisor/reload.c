#include "supervisor/reload.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* All of them, however many they are. */
static void reload_log_lines(char *text, bool errors)
{
    char *rest = NULL, message[1024];
    struct log_line out;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        snprintf(message, sizeof message, "configuration: %s", line);
        if (log_begin(&out, errors ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, NULL, slice_str(message)))
            log_end(&out);
    }
}

/* What 0 leaves to us is what was decided at the start. */
static void reload_decide(struct config *cfg, const struct config *before)
{
    if (!cfg->shard_count)
        cfg->shard_count = before->shard_count;
    if (!cfg->router_workers)
        cfg->router_workers = before->router_workers;
}

/* Each of the two is right, but what a reload makes of them may not be: some keys need a restart. */
static unsigned reload_check_effect(const struct config *cfg, const struct config *fresh, FILE *errors)
{
    struct config effect;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        fatal("cannot copy the configuration");
    config_print(cfg, out);
    fclose(out);
    config_init(&effect);
    (void)!config_read_text(&effect, "running", slice_of(text, len), errors);
    (void)config_reload(&effect, fresh, NULL);
    unsigned count = config_check(&effect, errors);
    if (count)
        fputs("the file itself is right, but not together with the keys that a reload cannot change: restart instead\n",
              errors);
    config_clear(&effect);
    free(text);
    return count;
}

bool reload_config(const struct options *options, struct config *cfg)
{
    struct config fresh;
    char *text = NULL;
    size_t len;
    FILE *report = open_memstream(&text, &len);
    if (!report)
        fatal("cannot collect the report of a reload");
    unsigned errors = options_read(options, &fresh, report);
    reload_decide(&fresh, cfg);
    errors = errors ? errors : reload_check_effect(cfg, &fresh, report);
    unsigned changed = errors ? 0 : config_reload(cfg, &fresh, report);
    fclose(report);
    reload_log_lines(text, errors > 0);
    if (errors)
        log_error("configuration not reloaded, errors: %u; the old one stays", errors);
    else
        log_info("configuration reloaded, keys changed: %u", changed);
    if (changed)
        log_configure(cfg->log_level, cfg->log_format);
    free(text);
    config_clear(&fresh);
    return changed > 0;
}

void reload_inherited(struct config *cfg, const char *text)
{
    struct config fresh = *cfg;
    char *report = NULL;
    size_t len;
    FILE *nowhere = fopen("/dev/null", "w"), *out = open_memstream(&report, &len);
    if (!out || !nowhere)
        fatal("cannot collect the report of a reload");
    config_init(cfg);
    if (config_read_text(cfg, "inheritance", slice_str(text), nowhere) > 0)
        log_warn("some of the earlier configuration means nothing to this version");
    reload_decide(&fresh, cfg);
    (void)config_reload(cfg, &fresh, out);
    fclose(nowhere);
    fclose(out);
    reload_log_lines(report, false);
    free(report);
    config_clear(&fresh);
}
