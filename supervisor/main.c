/* streamd: reads the command line; `streamd` alone serves in the foreground. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/version.h"
#include "supervisor/options.h"
#include "supervisor/server.h"

struct command {
    const char *name, *option; /* option: another way to say it */
    const char *help;
    int (*run)(const struct options *options);
};

static int run_server(const struct options *options)
{
    struct config cfg;
    if (options_read(options, &cfg, stderr) == 0)
        return server_main(options, &cfg);
    config_clear(&cfg);
    return 1;
}

static int run_check(const struct options *options)
{
    struct config cfg;
    unsigned errors = options_read(options, &cfg, stderr);
    if (errors == 0)
        config_print(&cfg, stdout);
    config_clear(&cfg);
    return errors ? 1 : 0;
}

static int run_example(const struct options *options)
{
    (void)options;
    config_print_example(stdout);
    return 0;
}

static int run_version(const struct options *options)
{
    (void)options;
    puts("streamd " STREAMD_VERSION);
    return 0;
}

static int run_help(const struct options *options);

static const struct command commands[] = {
    {"check", "", "print the configuration in effect, or every error in it", run_check},
    {"example-config", "", "print config.example.ini", run_example},
    {"help", "--help", "print this", run_help},
    {"version", "--version", "print the version", run_version},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static int run_help(const struct options *options)
{
    (void)options;
    puts("usage: streamd [--config FILE] [--set section.key=value]... [COMMAND]\n\n"
         "Without a command: serve in the foreground. Without --config: the defaults below.\n"
         "SIGTERM and SIGINT stop it in order, a second one at once; SIGHUP reads the configuration again.\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-16s%s\n", commands[i].name, commands[i].help);
    puts("\nKeys with their defaults:\n");
    config_print_help(stdout);
    return 0;
}

static int fail(const char *what, const char *word)
{
    fprintf(stderr, "streamd: %s: %s (see streamd help)\n", what, word);
    return 1;
}

static int run_command(const struct options *options, int argc, char **argv)
{
    const char *name = argv[0];
    if (argc > 1)
        return fail("unexpected argument", argv[1]);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0 || (name[0] && strcmp(commands[i].option, name) == 0))
            return commands[i].run(options);
    return fail(name[0] == '-' ? "unknown option" : "unknown command", name);
}

int main(int argc, char **argv)
{
    struct options options = {.sets = xcalloc((size_t)argc, sizeof *options.sets)};
    int i = 1, status;
    for (; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--config") == 0)
            options.file = argv[i + 1];
        else if (strcmp(argv[i], "--set") == 0)
            options.sets[options.set_count++] = argv[i + 1];
        else
            break;
    }
    if (i == argc)
        status = run_server(&options);
    else if (strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--set") == 0)
        status = fail("a value is missing after", argv[i]);
    else
        status = run_command(&options, argc - i, argv + i);
    free(options.sets);
    return status;
}
