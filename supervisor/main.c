/* streamd: reads the command line; `streamd` alone serves in the foreground. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/version.h"
#include "supervisor/console.h"
#include "supervisor/options.h"
#include "supervisor/process.h"
#include "supervisor/projects.h"
#include "supervisor/remote.h"
#include "supervisor/restore.h"
#include "supervisor/server.h"

struct command {
    const char *name, *option; /* option: another way to say it */
    const char *help;
    int (*run)(const struct options *options);
    project_command *project; /* or a command about projects, with arguments */
};

static int fail(const char *what, const char *word)
{
    fprintf(stderr, "streamd: %s: %s (see streamd help)\n", what, word);
    return 1;
}

static int run_server(const struct options *options)
{
    struct config cfg;
    if (options_read(options, &cfg, stderr) == 0)
        return server_main(options, &cfg);
    config_clear(&cfg);
    return EXIT_NEVER_RESTART;
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

static int run_project(const struct command *command, const struct options *options, int argc, char **argv)
{
    struct config cfg;
    int status = 1;
    if (options_read(options, &cfg, stderr) == 0)
        status = command->project(&cfg, argc, argv);
    config_clear(&cfg);
    return status;
}

/* What knows databases and segments is the shard. */
static int run_shard(const struct config *cfg, int argc, char **argv)
{
    char **arguments = xcalloc((size_t)argc + 2, sizeof *arguments);
    (void)cfg;
    memcpy(arguments + 1, argv, (size_t)argc * sizeof *argv);
    process_become("streamd-shard", arguments);
    free(arguments);
    return 1;
}

/* It gets the configuration on its standard input. */
static int run_verify(const struct config *cfg, int argc, char **argv)
{
    int fd = memfd_create("configuration", MFD_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file)
        config_print(cfg, file);
    if (!file || fflush(file) != 0 || lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, STDIN_FILENO) < 0) {
        fprintf(stderr, "streamd: verify: the configuration cannot be handed on\n");
        return 1;
    }
    return run_shard(cfg, argc, argv);
}

static int run_backup(const struct config *cfg, int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], "now") != 0) {
        fprintf(stderr, "streamd: backup: `backup now` is wanted\n");
        return 1;
    }
    return console_ask(cfg->server_data_dir, "backup");
}

static int run_status(const struct config *cfg, int argc, char **argv)
{
    if (argc != 1)
        return fail("unexpected argument", argv[1]);
    return console_ask(cfg->server_data_dir, "status");
}

static const struct command commands[] = {
    {"check", "", "print the configuration in effect, or every error in it", run_check, NULL},
    {"create-project", "", "NAME: make a project and print its secret", NULL, projects_create},
    {"delete-project", "", "NAME: forget its secrets and origins; its streams stay", NULL, projects_delete},
    {"list-projects", "", "print a line a project", NULL, projects_list},
    {"add-key", "", "NAME: print another secret, which signs from now on; the others still verify", NULL,
     projects_add_key},
    {"remove-key", "", "NAME SECRET: forget a secret, named by at least its first 6 characters", NULL,
     projects_remove_key},
    {"add-origin", "", "NAME ORIGIN: let scripts of this origin read the project's answers", NULL, projects_add_origin},
    {"remove-origin", "", "NAME ORIGIN", NULL, projects_remove_origin},
    {"token", "", "--project NAME --scope read|write|manage [--stream ID] --ttl TIME: print a token", NULL,
     projects_token},
    {"status", "", "print how the server is, and what is slow and why", NULL, run_status},
    {"streams", "", "[--project NAME] [--prefix X] [--limit N]: print a line a stream", NULL, remote_run},
    {"show", "", "PROJECT/STREAM [--json]: print what there is to say of a stream", NULL, remote_run},
    {"tail", "",
     "PROJECT/STREAM [--from OFFSET|start|now] [--last N] [--sse]: print its messages as they come; --sse: as an"
     " event stream, but for text, of which events would change the line ends",
     NULL, remote_run},
    {"doctor", "", "URL [--project NAME] [--idle SECONDS]: test what is between here and a server", NULL, remote_run},
    {"segment", "", "FILE: print and check a segment, a file of history", NULL, run_shard},
    {"verify", "", "[--quick] [--objects]: check every database and segment, while the server runs or not", NULL,
     run_verify},
    {"backup", "", "now: put the databases into the store of segments, and print the backup's number", NULL,
     run_backup},
    {"restore", "", "--from latest|NUMBER: make the data folder from a backup", NULL, restore_run},
    {"example-config", "", "print config.example.ini", run_example, NULL},
    {"help", "--help", "print this", run_help, NULL},
    {"version", "--version", "print the version", run_version, NULL},
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
    puts("\nstreams, show and tail ask the server that works on the data folder, or the one of --url URL. They and "
         "doctor take\n"
         "--token TOKEN (or STREAMD_TOKEN in the environment) and --ca-file FILE.");
    puts("\nKeys with their defaults:\n");
    config_print_help(stdout);
    return 0;
}

static int run_command(const struct options *options, int argc, char **argv)
{
    const char *name = argv[0];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = &commands[i];
        if (strcmp(command->name, name) != 0 && !(name[0] && strcmp(command->option, name) == 0))
            continue;
        if (command->project)
            return run_project(command, options, argc, argv);
        return argc > 1 ? fail("unexpected argument", argv[1]) : command->run(options);
    }
    return fail(name[0] == '-' ? "unknown option" : "unknown command", name);
}

int main(int argc, char **argv)
{
    struct options options = {.argv = argv, .sets = xcalloc((size_t)argc, sizeof *options.sets)};
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
