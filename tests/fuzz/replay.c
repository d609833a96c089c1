/* Runs a fuzz target over files, or over all files of folders, without libFuzzer: the corpora as ordinary tests. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static bool replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(size ? size : 1);
    bool whole = file && bytes && fread(bytes, 1, size, file) == size;
    if (whole)
        LLVMFuzzerTestOneInput(bytes, size);
    else
        perror(path);
    free(bytes);
    if (file)
        fclose(file);
    return whole;
}

/* Returns how many inputs were run, or -1 after a complaint. */
static int replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode))
        return replay_file(path, (size_t)st.st_size) ? 1 : -1;
    DIR *dir = opendir(path);
    int count = 0;
    for (struct dirent *entry; dir && count >= 0 && (entry = readdir(dir));) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        int inputs = replay(inner);
        count = inputs < 0 ? -1 : count + inputs;
    }
    if (dir)
        closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        int inputs = replay(argv[i]);
        if (inputs < 0)
            return 1;
        count += inputs;
    }
    printf("%s: %d inputs\n", argv[0], count);
    return count > 0 ? 0 : 1;
}
