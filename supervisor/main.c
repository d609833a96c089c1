/* streamd: reads the command line; `streamd` alone serves in the foreground.
 *
 *     argv --> words (--name=value becomes two) --> --config and --set are taken out --> no word is left: the server
 *                                                                                    --> else a command of the table
 *
 * A command runs here (check, version, help), here with the configuration (create-project, token), as a question to the
 * running server over its control socket (status, backup), or by becoming another program: streamd-shard for databases
 * and segments, streamd-router for HTTP (supervisor/cli/cli_exec.c).
 *
 * Failure modes: a command ends with status 1 and a line on standard error; output that cannot be written counts as a
 * failure. A server whose configuration is wrong ends with EXIT_NEVER_RESTART, which the systemd unit knows
 * (RestartPreventExitStatus): a restart would find the same error. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/origin.h"
#include "common/spelling.h"
#include "common/version.h"
#include "common/words.h"
#include "supervisor/cli/cli_exec.h"
#include "supervisor/cli/projects.h"
#include "supervisor/cli/restore.h"
#include "supervisor/data_dir/control_socket.h"
#include "supervisor/options.h"
#include "supervisor/children/process.h"
#include "supervisor/server.h"

struct command {
    const char *name, *options; /* options: other names, separated by spaces */
    const char *arguments, *help;
    const char *more; /* what `help COMMAND` adds, or "" */
    int (*run)(const struct options *options);
    project_command *project;                         /* or a command that has arguments */
    enum { DATA_NONE, DATA_READ, DATA_CHANGED } data; /* what it does with the data folder that it looks for */
};

static int main_fail(const char *what, const char *word)
{
    fprintf(stderr, "streamd: %s: %s (see streamd help)\n", what, word);
    return 1;
}

static int main_fail_command(const char *command, const char *what, const char *word)
{
    fprintf(stderr, "streamd: %s: %s: %s (see streamd help %s)\n", command, what, word, command);
    return 1;
}

static int main_run_server(const struct options *options)
{
    struct config cfg;
    if (options_read(options, &cfg, stderr) == 0)
        return server_main(options, &cfg);
    config_clear(&cfg);
    return EXIT_NEVER_RESTART;
}

static int main_run_check(const struct options *options)
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

static int main_run_example(const struct options *options)
{
    (void)options;
    config_print_example(stdout);
    return 0;
}

static int main_run_version(const struct options *options)
{
    (void)options;
    puts("streamd " STREAMD_VERSION);
    return 0;
}

static int main_run_help(const struct options *options);

/* Names the configuration that was used, where the command line names none. */
static void main_say_configuration(const struct options *given, const struct options *used)
{
    if (used->file && !given->file)
        fprintf(stderr, "streamd: without --config the command used the server of %s\n", used->file);
    else if (options_name_nothing(given) && (access(OPTIONS_INSTALLED, R_OK) == 0 || errno == EACCES))
        fputs("streamd: without --config the command used the folder ./data; the installed server's folder is named"
              " in " OPTIONS_INSTALLED ", which root and the group streamd may read\n",
              stderr);
    else if (options_name_nothing(given))
        fputs("streamd: the command used the folder ./data; --config FILE or --set server.data_dir=FOLDER names"
              " another\n",
              stderr);
}

/* A command of the data folder. Where the command line names no server, options_find() looks for one; the user is told
 * which, if the command has failed or has changed something there. */
static int main_run_project(const struct command *command, const struct options *options, int argc, char **argv)
{
    struct options found = *options;
    struct config cfg;
    int status = 1;
    if (command->data != DATA_NONE)
        options_find(&found);
    if (options_read(&found, &cfg, stderr) == 0)
        status = command->project(&cfg, argc, argv);
    if (command->data != DATA_NONE && (status != 0 || (command->data == DATA_CHANGED && found.file != options->file)))
        main_say_configuration(options, &found);
    config_clear(&cfg);
    return status;
}

/* Only the shard knows databases and segments, so its program runs the command. */
static int main_run_shard(const struct config *cfg, int argc, char **argv)
{
    char **arguments = xcalloc((size_t)argc + 2, sizeof *arguments);
    (void)cfg;
    memcpy(arguments + 1, argv, (size_t)argc * sizeof *argv);
    process_become("streamd-shard", arguments);
    free(arguments);
    return 1;
}

/* Verify gets the configuration on its standard input. */
static int main_run_verify(const struct config *cfg, int argc, char **argv)
{
    if (access(cfg->server_data_dir, F_OK) != 0) {
        fprintf(stderr, "streamd: %s: %s\n", cfg->server_data_dir, strerror(errno));
        return 1;
    }
    int fd = memfd_create("configuration", MFD_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file)
        config_print(cfg, file);
    if (!file || fflush(file) != 0 || lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, STDIN_FILENO) < 0) {
        fprintf(stderr, "streamd: verify: the configuration cannot be passed on\n");
        return 1;
    }
    return main_run_shard(cfg, argc, argv);
}

static int main_run_backup(const struct config *cfg, int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], "now") != 0) {
        fprintf(stderr, "streamd: backup: expected `backup now`\n");
        return 1;
    }
    return control_socket_ask(cfg->server_data_dir, "backup");
}

static int main_run_status(const struct config *cfg, int argc, char **argv)
{
    if (argc != 1)
        return main_fail_command(argv[0], "unexpected argument", argv[1]);
    return control_socket_ask(cfg->server_data_dir, "status");
}

#define REMOTE "The command asks the server of the data folder, or the one of --url URL.\n" REMOTE_OPTIONS
#define REMOTE_OPTIONS                                                                                                 \
    "--token TOKEN, or STREAMD_TOKEN in the environment, is sent with each request. --ca-file FILE has the\n"          \
    "certificates that the server's certificate is checked with."
#define FOUND                                                                                                          \
    "Without --config and server.data_dir, a command uses ./data if that holds data, and otherwise the\n"              \
    "installed server of " OPTIONS_INSTALLED "."
#define ELSEWHERE                                                                                                      \
    "streams, show and tail ask another server with --url URL; doctor asks the server at its URL. For these, "         \
    "--token\n"                                                                                                        \
    "TOKEN or STREAMD_TOKEN in the environment gives the token, and --ca-file FILE the certificates."
#define AT_ONCE "A running server sees the change at once."

static const struct command main_commands[] = {
    {"check", "", "", "print the configuration in effect, or every error in it",
     "Checks --config and --set exactly as a start does. Status 1: there are errors.", main_run_check, NULL, DATA_NONE},
    {"create-project", "", "NAME", "create a project and print its secret",
     "The secret signs tokens, with `streamd token` or in a service of your own. It is printed only once. " AT_ONCE,
     NULL, projects_create, DATA_CHANGED},
    {"delete-project", "", "NAME", "delete a project's secrets and origins; its streams stay", AT_ONCE, NULL,
     projects_delete, DATA_CHANGED},
    {"list-projects", "", "", "print one line for each project",
     "Projects that have streams but no secret are not listed.", NULL, projects_list, DATA_READ},
    {"add-key", "", "NAME", "add and print a secret, which signs from now on; the others still verify",
     "A project has at most 16 secrets. " AT_ONCE, NULL, projects_add_key, DATA_CHANGED},
    {"remove-key", "", "NAME SECRET", "remove a secret, given by at least its first 6 characters",
     "Tokens that the secret signed are refused from then on, and live readers that came with them are ended.", NULL,
     projects_remove_key, DATA_CHANGED},
    {"add-origin", "", "NAME ORIGIN", "let scripts of an origin read the project's answers",
     "An origin is * or " ORIGIN_RULE ". " AT_ONCE, NULL, projects_add_origin, DATA_CHANGED},
    {"remove-origin", "", "NAME ORIGIN", "remove an origin", AT_ONCE, NULL, projects_remove_origin, DATA_CHANGED},
    {"token", "", "--project NAME --scope read|write|manage [--stream ID] --ttl TIME", "print a token",
     "A stream ID that ends with * stands for all streams whose names begin so. TIME is 90s, 15m or 1h.", NULL,
     projects_token, DATA_READ},
    {"status", "", "", "print the state of the server, and what is slow and why", "", NULL, main_run_status, DATA_READ},
    {"streams", "", "[--project NAME] [--prefix X] [--limit N]", "print one line for each stream",
     "Without --project, the streams of all projects are listed; with auth.mode = jwt, the server is asked for each\n"
     "project in the registry that has a secret. X is the beginning of names, or of PROJECT/STREAM without --project.\n"
     "A line has name, content type, next offset, bytes and flags, separated by tabs.\n" REMOTE,
     NULL, cli_exec_run, DATA_READ},
    {"show", "", "PROJECT/STREAM [--json]", "print the details of a stream",
     "--json prints the server's answer as it is.\n" REMOTE, NULL, cli_exec_run, DATA_READ},
    {"tail", "", "PROJECT/STREAM [--from OFFSET|start|now] [--last N] [--sse]",
     "print a stream's messages as they come",
     "--from gives the beginning: an offset, the start, or now (the default). --last N begins N messages before the\n"
     "end, or N appends if the stream is not JSON; N is at most limits.read_back. Each message of a JSON stream is\n"
     "printed on a line of its own, any other stream byte for byte. --sse uses an event stream instead of long-polls.\n"
     "Status 0: the stream is closed, or ^C. Status 1: the stream does not exist, was deleted, or is not for this\n"
     "token.\n" REMOTE,
     NULL, cli_exec_run, DATA_READ},
    {"doctor", "", "URL [--project NAME] [--idle SECONDS]", "test the connection to a server, and what is in between",
     "The command creates a stream in the project (_default) and deletes it. --idle is the length of the silence that\n"
     "is tested (20). No token is signed: with auth.mode = jwt, give one with scope write, or better manage.\n"
     "Status 1: something is bad; each such line is followed by what to change.\n" REMOTE_OPTIONS,
     NULL, cli_exec_run, DATA_NONE},
    {"segment", "", "FILE", "print and check a segment, a file of history", "Status 1: the file is damaged.", NULL,
     main_run_shard, DATA_NONE},
    {"verify", "", "[--quick] [--objects]", "check every database and segment, while the server runs or not",
     "--quick leaves out contents and indexes; --objects also reads every segment in an S3-compatible store.", NULL,
     main_run_verify, DATA_READ},
    {"backup", "", "now", "back up the databases to the store of segments, and print the backup's number", "", NULL,
     main_run_backup, DATA_READ},
    {"restore", "", "--from latest|NUMBER", "make the data folder from a backup",
     "The data folder must be empty, and no server may use it.", NULL, restore_run, DATA_CHANGED},
    {"example-config", "", "", "print config.example.ini", "", main_run_example, NULL, DATA_NONE},
    {"help", "-h --help", "[COMMAND]", "print this text, or describe a command", "", main_run_help, NULL, DATA_NONE},
    {"version", "-V --version", "", "print the version", "", main_run_version, NULL, DATA_NONE},
};

#define COMMAND_COUNT (sizeof main_commands / sizeof main_commands[0])

static const struct command *main_find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(main_commands[i].name, name) == 0 || words_have(main_commands[i].options, slice_str(name)))
            return &main_commands[i];
    return NULL;
}

static int main_unknown(const char *name)
{
    if (name[0] == '-')
        return main_fail("unknown option", name);
    fprintf(stderr, "streamd: unknown command: %s; ", name);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (spelling_near(slice_str(name), slice_str(main_commands[i].name))) {
            fprintf(stderr, "did you mean %s? (see streamd help)\n", main_commands[i].name);
            return 1;
        }
    fputs("without a command streamd serves (see streamd help)\n", stderr);
    return 1;
}

static int main_help_of(const struct command *command)
{
    const char *before = *command->arguments ? " " : "";
    printf("usage: streamd [--config FILE] [--set section.key=value]... %s%s%s\n\n%c%s.\n", command->name, before,
           command->arguments, toupper(command->help[0]), command->help + 1);
    if (*command->more)
        puts(command->more);
    if (command->data != DATA_NONE)
        puts(FOUND);
    return 0;
}

static int main_run_help(const struct options *options)
{
    (void)options;
    puts("usage: streamd [--config FILE] [--set section.key=value]... [COMMAND]\n\n"
         "Without a command, streamd serves in the foreground. Without --config, the defaults below apply.\n"
         "SIGTERM and SIGINT stop the server in order, a second one at once. SIGHUP reloads the configuration.\n"
         "Options may stand anywhere in the command line, also as --name=value.\n"
         "streamd help COMMAND, or streamd COMMAND --help, describes a command.\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *after = *main_commands[i].arguments ? ": " : "";
        printf("  %-16s%s%s%s\n", main_commands[i].name, main_commands[i].arguments, after, main_commands[i].help);
    }
    puts("\n" ELSEWHERE "\n\n" FOUND "\n\nKeys with their defaults:\n");
    config_print_help(stdout);
    return 0;
}

/* One of two words is among the arguments: that word, or NULL. */
static const char *main_find_word(int argc, char **argv, const char *one, const char *other)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], one) == 0 || strcmp(argv[i], other) == 0)
            return argv[i];
    return NULL;
}

static int main_run_command(const struct options *options, int argc, char **argv)
{
    const struct command *command = main_find_command(argv[0]);
    if (!command)
        return main_unknown(argv[0]);
    bool help = command->run == main_run_help;
    if (help && argc == 2) {
        command = main_find_command(argv[1]);
        return command ? main_help_of(command) : main_unknown(argv[1]);
    }
    if (!help && main_find_word(argc, argv, "-h", "--help"))
        return main_help_of(command);
    if (command->project != cli_exec_run && main_find_word(argc, argv, "--url", "--token"))
        return main_fail_command(argv[0], "only streams, show, tail and doctor take it",
                                 main_find_word(argc, argv, "--url", "--token"));
    if (command->project)
        return main_run_project(command, options, argc, argv);
    return argc > 1 ? main_fail_command(argv[0], "unexpected argument", argv[help ? 2 : 1]) : command->run(options);
}

/* Status 0 means that what was asked for is done, and what there is to print was printed. */
static int main_finish(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "streamd: standard output cannot be written: %s\n", strerror(errno));
    return status ? status : 1;
}

/* The options that have a value, of all commands: `--name=value` becomes the two words `--name value`. */
static const char *const main_valued[] = {"--config",  "--set",    "--url",   "--token", "--ca-file",
                                          "--project", "--prefix", "--limit", "--from",  "--last",
                                          "--stream",  "--scope",  "--ttl",   "--idle"};

/* The value behind "=", and in *name the option's name; NULL: the word is not of this form. */
static char *main_value_in(char *word, const char **name)
{
    size_t len = strcspn(word, "=");
    for (size_t i = 0; word[len] && i < sizeof main_valued / sizeof main_valued[0]; i++) {
        *name = main_valued[i];
        if (strlen(*name) == len && strncmp(*name, word, len) == 0)
            return word + len + 1;
    }
    return NULL;
}

/* Values and names are borrowed from argv and main_valued; `words` has room for two a word. */
static int main_split_words(int argc, char **argv, char **words)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        const char *name;
        char *value = main_value_in(argv[i], &name);
        words[count++] = value ? (char *)(uintptr_t)name : argv[i];
        if (value)
            words[count++] = value;
    }
    return count;
}

/* Takes --config and --set out of the words, wherever they are. Returns how many words stay; -1, and said so: none. */
static int main_take_options(struct options *options, int count, char **words)
{
    int left = 0;
    for (int i = 0; i < count; i++) {
        bool file = strcmp(words[i], "--config") == 0;
        if (!file && strcmp(words[i], "--set") != 0) {
            words[left++] = words[i];
            continue;
        }
        if (i + 1 == count || (file && options->file)) {
            (void)main_fail(i + 1 == count ? "a value is missing after" : "given twice", words[i]);
            return -1;
        }
        if (file)
            options->file = words[++i];
        else
            options->sets[options->set_count++] = words[++i];
    }
    return left;
}

int main(int argc, char **argv)
{
    char **words = xcalloc(2 * (size_t)argc + 1, sizeof *words);
    struct options options = {.argv = argv, .sets = xcalloc((size_t)argc, sizeof *options.sets)};
    int count = main_take_options(&options, main_split_words(argc, argv, words), words), status = 1;
    if (count == 0)
        status = main_run_server(&options);
    else if (count > 0)
        status = main_finish(main_run_command(&options, count, words));
    free(options.sets);
    free(words);
    return status;
}
