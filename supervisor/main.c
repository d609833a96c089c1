/* streamd: reads the command line; `streamd` alone serves in the foreground. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/origin.h"
#include "common/version.h"
#include "common/words.h"
#include "supervisor/console.h"
#include "supervisor/options.h"
#include "supervisor/process.h"
#include "supervisor/projects.h"
#include "supervisor/remote.h"
#include "supervisor/restore.h"
#include "supervisor/server.h"

struct command {
    const char *name, *options; /* options: other ways to say it, parted by spaces */
    const char *arguments, *help;
    const char *more; /* what `help COMMAND` says beside that, or "" */
    int (*run)(const struct options *options);
    project_command *project; /* or a command that has arguments, and looks for a server or its data */
    bool changes;             /* it changes what it finds */
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
    if (!options->file && access(OPTIONS_INSTALLED, R_OK) == 0)
        fputs("streamd: check: without --config the built-in defaults are checked, and not " OPTIONS_INSTALLED "\n",
              stderr);
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

/* Which configuration it was, where nobody has named one. */
static void say_configuration(const struct options *given, const struct options *used)
{
    if (used->file && !given->file)
        fprintf(stderr, "streamd: without --config this was about the server of %s\n", used->file);
    else if (options_name_nothing(given) && (access(OPTIONS_INSTALLED, R_OK) == 0 || errno == EACCES))
        fputs("streamd: without --config this was about the folder ./data; the installed server's is named"
              " in " OPTIONS_INSTALLED ", which root and the group streamd may read\n",
              stderr);
}

static int run_project(const struct command *command, const struct options *options, int argc, char **argv)
{
    struct options found = *options;
    struct config cfg;
    int status = 1;
    options_find(&found);
    if (options_read(&found, &cfg, stderr) == 0)
        status = command->project(&cfg, argc, argv);
    if (status != 0 || (command->changes && found.file != options->file))
        say_configuration(options, &found);
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

#define REMOTE "It asks the server that works on the data folder, or the one of --url URL.\n" REMOTE_OPTIONS
#define REMOTE_OPTIONS                                                                                                 \
    "--token TOKEN (or STREAMD_TOKEN in the environment) is sent along; --ca-file FILE checks the certificate."
#define FOUND                                                                                                          \
    "Without --config and server.data_dir a command is about ./data, if that holds data, or else about the\n"          \
    "installed server, " OPTIONS_INSTALLED "."
#define AT_ONCE "A running server sees the change at once."

static const struct command commands[] = {
    {"check", "", "", "print the configuration in effect, or every error in it",
     "It checks what --config and --set say, exactly as a start would. Status 1: there are errors.", run_check, NULL,
     false},
    {"create-project", "", "NAME", "make a project and print its secret",
     "The secret signs tokens: `streamd token`, or a service of your own. It is printed this once. " AT_ONCE, NULL,
     projects_create, true},
    {"delete-project", "", "NAME", "forget its secrets and origins; its streams stay", AT_ONCE, NULL, projects_delete,
     true},
    {"list-projects", "", "", "print a line a project", "Projects that have streams but no secret are not among them.",
     NULL, projects_list, false},
    {"add-key", "", "NAME", "print another secret, which signs from now on; the others still verify",
     "A project has at most 16. " AT_ONCE, NULL, projects_add_key, true},
    {"remove-key", "", "NAME SECRET", "forget a secret, named by at least its first 6 characters",
     "Its tokens are worth nothing from then on, and readers that came with them are ended.", NULL, projects_remove_key,
     true},
    {"add-origin", "", "NAME ORIGIN", "let scripts of this origin read the project's answers",
     "An origin is * or " ORIGIN_RULE ". " AT_ONCE, NULL, projects_add_origin, true},
    {"remove-origin", "", "NAME ORIGIN", "take an origin away", AT_ONCE, NULL, projects_remove_origin, true},
    {"token", "", "--project NAME --scope read|write|manage [--stream ID] --ttl TIME", "print a token",
     "A stream ID that ends with * means all streams that begin so. TIME is 90s, 15m or 1h.", NULL, projects_token,
     false},
    {"status", "", "", "print how the server is, and what is slow and why", "", NULL, run_status, false},
    {"streams", "", "[--project NAME] [--prefix X] [--limit N]", "print a line a stream",
     "Without --project it lists the streams of all projects; a server with auth.mode = jwt is asked for each\n"
     "project in the registry. X is how names begin; without --project, how PROJECT/STREAM does. A line has name,\n"
     "content type, next offset, bytes, and what the stream is, parted by tabs.\n" REMOTE,
     NULL, remote_run, false},
    {"show", "", "PROJECT/STREAM [--json]", "print what there is to say of a stream", REMOTE, NULL, remote_run, false},
    {"tail", "", "PROJECT/STREAM [--from OFFSET|start|now] [--last N] [--sse]", "print its messages as they come",
     REMOTE, NULL, remote_run, false},
    {"doctor", "", "URL [--project NAME] [--idle SECONDS]", "test what is between here and a server", REMOTE_OPTIONS,
     NULL, remote_run, false},
    {"segment", "", "FILE", "print and check a segment, a file of history", "", NULL, run_shard, false},
    {"verify", "", "[--quick] [--objects]", "check every database and segment, while the server runs or not",
     "--quick leaves out what takes long; --objects reads every segment whole.", NULL, run_verify, false},
    {"backup", "", "now", "put the databases into the store of segments, and print the backup's number", "", NULL,
     run_backup, false},
    {"restore", "", "--from latest|NUMBER", "make the data folder from a backup",
     "The data folder must be empty, and no server may work on it.", NULL, restore_run, true},
    {"example-config", "", "", "print config.example.ini", "", run_example, NULL, false},
    {"help", "-h --help", "[COMMAND]", "print this, or what a command does", "", run_help, NULL, false},
    {"version", "-V --version", "", "print the version", "", run_version, NULL, false},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0 || words_have(commands[i].options, slice_str(name)))
            return &commands[i];
    return NULL;
}

static int unknown(const char *name)
{
    return fail(name[0] == '-' ? "unknown option" : "unknown command", name);
}

static int help_of(const struct command *command)
{
    const char *before = *command->arguments ? " " : "";
    printf("usage: streamd [--config FILE] [--set section.key=value]... %s%s%s\n\n%c%s.\n", command->name, before,
           command->arguments, toupper(command->help[0]), command->help + 1);
    if (*command->more)
        puts(command->more);
    if (command->project)
        puts(FOUND);
    return 0;
}

static int run_help(const struct options *options)
{
    (void)options;
    puts("usage: streamd [--config FILE] [--set section.key=value]... [COMMAND]\n\n"
         "Without a command: serve in the foreground. Without --config: the defaults below.\n"
         "SIGTERM and SIGINT stop it in order, a second one at once; SIGHUP reads the configuration again.\n"
         "streamd help COMMAND, or streamd COMMAND --help, says more of a command.\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *after = *commands[i].arguments ? ": " : "";
        printf("  %-16s%s%s%s\n", commands[i].name, commands[i].arguments, after, commands[i].help);
    }
    puts("\n" FOUND "\n\nKeys with their defaults:\n");
    config_print_help(stdout);
    return 0;
}

/* One of two words is among the arguments: that word, or NULL. */
static const char *find_word(int argc, char **argv, const char *one, const char *other)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], one) == 0 || strcmp(argv[i], other) == 0)
            return argv[i];
    return NULL;
}

static int run_command(const struct options *options, int argc, char **argv)
{
    const struct command *command = find_command(argv[0]);
    if (!command)
        return unknown(argv[0]);
    bool help = command->run == run_help;
    if (help && argc == 2) {
        command = find_command(argv[1]);
        return command ? help_of(command) : unknown(argv[1]);
    }
    if (!help && find_word(argc, argv, "-h", "--help"))
        return help_of(command);
    const char *late = find_word(argc, argv, "--config", "--set");
    if (late)
        return fail("it goes before the command", late);
    if (command->project)
        return run_project(command, options, argc, argv);
    return argc > 1 ? fail("unexpected argument", argv[help ? 2 : 1]) : command->run(options);
}

/* Status 0 means that what was asked for is done, and what there is to print was printed. */
static int finish(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "streamd: standard output cannot be written: %s\n", strerror(errno));
    return status ? status : 1;
}

int main(int argc, char **argv)
{
    struct options options = {.argv = argv, .sets = xcalloc((size_t)argc, sizeof *options.sets)};
    int i = 1, status;
    for (; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--config") == 0 && !options.file)
            options.file = argv[i + 1];
        else if (strcmp(argv[i], "--set") == 0)
            options.sets[options.set_count++] = argv[i + 1];
        else
            break;
    }
    if (i == argc)
        status = run_server(&options);
    else if (strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--set") == 0)
        status = fail(i + 1 < argc ? "given twice" : "a value is missing after", argv[i]);
    else
        status = finish(run_command(&options, argc - i, argv + i));
    free(options.sets);
    return status;
}
