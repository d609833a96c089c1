/* A reload is all or nothing. The new configuration is read beside the running one and must be right by itself; then it
 * is checked as it would take effect, since some keys need a restart and keep their old values; only then are the keys
 * that can change copied. An error anywhere leaves the running configuration as it is.
 *
 *     file and --set --> fresh, checked by itself --> effect = running + what can change, checked --> copied
 *
 * The configuration's functions print their messages to a FILE. Here that is a text in memory, and each of its lines
 * becomes a line of the log. */
#include "supervisor/reload.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* A text that is written like a file. */
struct report {
    FILE *out;
    char *text; /* whole once `out` is closed */
    size_t len;
};

static void reload_open_report(struct report *report)
{
    *report = (struct report){0};
    report->out = open_memstream(&report->text, &report->len);
    if (!report->out)
        fatal("cannot collect the report of a reload");
}

/* Logs each line of the report, however many they are, and frees it. */
static void reload_log_report(struct report *report, bool errors)
{
    char *rest = NULL, message[1024];
    struct log_line out;
    fclose(report->out);
    for (char *line = strtok_r(report->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        snprintf(message, sizeof message, "configuration: %s", line);
        if (log_begin(&out, errors ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, NULL, slice_str(message)))
            log_end(&out);
    }
    free(report->text);
}

/* A 0 means what was decided at the start. */
static void reload_decide(struct config *cfg, const struct config *before)
{
    if (!cfg->shard_count)
        cfg->shard_count = before->shard_count;
    if (!cfg->router_workers)
        cfg->router_workers = before->router_workers;
}

/* The running and the new configuration are each right, but what a reload makes of them may not be: some keys need a
 * restart. The running one is copied as a text. */
static unsigned reload_check_effect(const struct config *cfg, const struct config *fresh, FILE *errors)
{
    struct config effect;
    struct report copy;
    reload_open_report(&copy);
    config_print(cfg, copy.out);
    fclose(copy.out);
    config_init(&effect);
    (void)!config_read_text(&effect, "running", slice_of(copy.text, copy.len), errors);
    (void)config_reload(&effect, fresh, NULL);
    unsigned count = config_check(&effect, errors);
    if (count)
        fputs("the file itself is right, but not together with the keys that a reload cannot change: restart instead\n",
              errors);
    config_clear(&effect);
    free(copy.text);
    return count;
}

bool reload_config(const struct options *options, struct config *cfg)
{
    struct config fresh;
    struct report report;
    reload_open_report(&report);
    unsigned errors = options_read(options, &fresh, report.out);
    reload_decide(&fresh, cfg);
    errors = errors ? errors : reload_check_effect(cfg, &fresh, report.out);
    unsigned changed = errors ? 0 : config_reload(cfg, &fresh, report.out);
    reload_log_report(&report, errors > 0);
    if (errors)
        log_error("configuration not reloaded, errors: %u; the old one stays in effect", errors);
    else
        log_info("configuration reloaded, keys changed: %u", changed);
    if (changed)
        log_configure(cfg->log_level, cfg->log_format);
    config_clear(&fresh);
    return changed > 0;
}

/* The other way round: the earlier program's configuration, as far as this version knows its keys, is the running one,
 * and the one that was just read is reloaded on top of it. */
void reload_inherited(struct config *cfg, const char *text)
{
    struct config fresh = *cfg;
    struct report report;
    FILE *nowhere = fopen("/dev/null", "w");
    if (!nowhere)
        fatal("cannot open /dev/null");
    config_init(cfg);
    if (config_read_text(cfg, "inheritance", slice_str(text), nowhere) > 0)
        log_warn("this version does not know some keys of the earlier configuration");
    fclose(nowhere);
    reload_decide(&fresh, cfg);
    reload_open_report(&report);
    (void)config_reload(cfg, &fresh, report.out);
    reload_log_report(&report, false);
    config_clear(&fresh);
}
