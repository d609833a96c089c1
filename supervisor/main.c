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
    const char *name, *options; /* options: other ways to say it, parted by spaces */
    const char *arguments, *help;
    const char *more; /* what `help COMMAND` says beside that, or "" */
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

/* Which configuration it was, where nobody has named one. */
static void main_say_configuration(const struct options *given, const struct options *used)
{
    if (used->file && !given->file)
        fprintf(stderr, "streamd: without --config this was about the server of %s\n", used->file);
    else if (options_name_nothing(given) && (access(OPTIONS_INSTALLED, R_OK) == 0 || errno == EACCES))
        fputs("streamd: without --config this was about the folder ./data; the installed server's is named"
              " in " OPTIONS_INSTALLED ", which root and the group streamd may read\n",
              stderr);
    else if (options_name_nothing(given))
        fputs("streamd: this was about the folder ./data; --config FILE or --set server.data_dir=FOLDER names"
              " another\n",
              stderr);
}

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

/* What knows databases and segments is the shard. */
static int main_run_shard(const struct config *cfg, int argc, char **argv)
{
    char **arguments = xcalloc((size_t)argc + 2, sizeof *arguments);
    (void)cfg;
    memcpy(arguments + 1, argv, (size_t)argc * sizeof *argv);
    process_become("streamd-shard", arguments);
    free(arguments);
    return 1;
}

/* It gets the configuration on its standard input. */
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
        fprintf(stderr, "streamd: verify: the configuration cannot be handed on\n");
        return 1;
    }
    return main_run_shard(cfg, argc, argv);
}

static int main_run_backup(const struct config *cfg, int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], "now") != 0) {
        fprintf(stderr, "streamd: backup: `backup now` is wanted\n");
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

#define REMOTE "It asks the server that works on the data folder, or the one of --url URL.\n" REMOTE_OPTIONS
#define REMOTE_OPTIONS                                                                                                 \
    "--token TOKEN (or STREAMD_TOKEN in the environment) is sent along; --ca-file FILE checks the certificate."
#define FOUND                                                                                                          \
    "Without --config and server.data_dir a command is about ./data, if that holds data, or else about the\n"          \
    "installed server, " OPTIONS_INSTALLED "."
#define ELSEWHERE                                                                                                      \
    "streams, show and tail ask another server with --url URL, doctor the one it is given: with --token TOKEN, or\n"   \
    "STREAMD_TOKEN in the environment, and --ca-file FILE for the certificate."
#define AT_ONCE "A running server sees the change at once."

static const struct command main_commands[] = {
    {"check", "", "", "print the configuration in effect, or every error in it",
     "It checks what --config and --set say, exactly as a start would. Status 1: there are errors.", main_run_check,
     NULL, DATA_NONE},
    {"create-project", "", "NAME", "make a project and print its secret",
     "The secret signs tokens: `streamd token`, or a service of your own. It is printed this once. " AT_ONCE, NULL,
     projects_create, DATA_CHANGED},
    {"delete-project", "", "NAME", "forget its secrets and origins; its streams stay", AT_ONCE, NULL, projects_delete,
     DATA_CHANGED},
    {"list-projects", "", "", "print a line a project", "Projects that have streams but no secret are not among them.",
     NULL, projects_list, DATA_READ},
    {"add-key", "", "NAME", "print another secret, which signs from now on; the others still verify",
     "A project has at most 16. " AT_ONCE, NULL, projects_add_key, DATA_CHANGED},
    {"remove-key", "", "NAME SECRET", "forget a secret, named by at least its first 6 characters",
     "Its tokens are worth nothing from then on, and readers that came with them are ended.", NULL, projects_remove_key,
     DATA_CHANGED},
    {"add-origin", "", "NAME ORIGIN", "let scripts of this origin read the project's answers",
     "An origin is * or " ORIGIN_RULE ". " AT_ONCE, NULL, projects_add_origin, DATA_CHANGED},
    {"remove-origin", "", "NAME ORIGIN", "take an origin away", AT_ONCE, NULL, projects_remove_origin, DATA_CHANGED},
    {"token", "", "--project NAME --scope read|write|manage [--stream ID] --ttl TIME", "print a token",
     "A stream ID that ends with * means all streams that begin so. TIME is 90s, 15m or 1h.", NULL, projects_token,
     DATA_READ},
    {"status", "", "", "print how the server is, and what is slow and why", "", NULL, main_run_status, DATA_READ},
    {"streams", "", "[--project NAME] [--prefix X] [--limit N]", "print a line a stream",
     "Without --project it lists the streams of all projects; a server with auth.mode = jwt is asked for each\n"
     "project in the registry, and for no project without a secret. X is how names begin; without --project, how\n"
     "PROJECT/STREAM does. A line has name, content type, next offset, bytes, and what the stream is, parted by "
     "tabs.\n" REMOTE,
     NULL, cli_exec_run, DATA_READ},
    {"show", "", "PROJECT/STREAM [--json]", "print what there is to say of a stream",
     "--json prints it as the server answers it.\n" REMOTE, NULL, cli_exec_run, DATA_READ},
    {"tail", "", "PROJECT/STREAM [--from OFFSET|start|now] [--last N] [--sse]", "print its messages as they come",
     "--from says where to begin: at an offset, at the start, or now, as without it. --last N begins N messages\n"
     "before the end; only a JSON stream has messages that can be counted. A JSON stream's messages are printed one\n"
     "a line, anything else byte for byte. --sse asks for an event stream instead of long-polls.\n"
     "Status 0: the stream is closed, or ^C. Status 1: it is not there, not for this token, or was deleted.\n" REMOTE,
     NULL, cli_exec_run, DATA_READ},
    {"doctor", "", "URL [--project NAME] [--idle SECONDS]", "test what is between here and a server",
     "It makes a stream in the project (_default), and deletes it. --idle says how long silence is tried (20).\n"
     "It signs no token: with auth.mode = jwt it needs one that may write, or better manage, the project.\n"
     "Status 1: something is bad; each such line is followed by what to change.\n" REMOTE_OPTIONS,
     NULL, cli_exec_run, DATA_NONE},
    {"segment", "", "FILE", "print and check a segment, a file of history", "Status 1: it is damaged.", NULL,
     main_run_shard, DATA_NONE},
    {"verify", "", "[--quick] [--objects]", "check every database and segment, while the server runs or not",
     "--quick leaves out what takes long; --objects reads every segment whole.", NULL, main_run_verify, DATA_READ},
    {"backup", "", "now", "put the databases into the store of segments, and print the backup's number", "", NULL,
     main_run_backup, DATA_READ},
    {"restore", "", "--from latest|NUMBER", "make the data folder from a backup",
     "The data folder must be empty, and no server may work on it.", NULL, restore_run, DATA_CHANGED},
    {"example-config", "", "", "print config.example.ini", "", main_run_example, NULL, DATA_NONE},
    {"help", "-h --help", "[COMMAND]", "print this, or what a command does", "", main_run_help, NULL, DATA_NONE},
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
         "Without a command: serve in the foreground. Without --config: the defaults below.\n"
         "SIGTERM and SIGINT stop it in order, a second one at once; SIGHUP reads the configuration again.\n"
         "Options may stand anywhere, also as --name=value.\n"
         "streamd help COMMAND, or streamd COMMAND --help, says more of a command.\n");
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
