/*
 * Runs a harness without a fuzzer: replay DIRECTORY… gives it every file of the directories, whole and cut to
 * every shorter length up to a bound. Each input lies in memory of exactly its own size, so that a sanitizer
 * sees a step past its end. Fails where a directory has no file, or one cannot be read.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX (1024 * 1024)
#define CUTS_MAX  2048 /* a longer file is cut at this many lengths, evenly spread */

static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    if (copy == NULL) {
        perror("malloc");
        exit(1);
    }
    memcpy(copy, data, size);
    /* With no bytes, the pointer is one past the end: no byte of it may be read. */
    LLVMFuzzerTestOneInput(size > 0 ? copy : copy + 1, size);
    free(copy);
}

static size_t run_cuts(const uint8_t *data, size_t size)
{
    size_t step = size / CUTS_MAX + 1, runs = 0;

    for (size_t cut = 0; cut < size; cut += step, runs++)
        run(data, cut);
    run(data, size);
    return runs + 1;
}

static size_t replay_file(const char *path)
{
    static uint8_t data[INPUT_MAX];
    FILE *f = fopen(path, "rb");

    if (f == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, sizeof data, f);
    if (ferror(f) || fgetc(f) != EOF) {
        fprintf(stderr, "%s: cannot be read, or is longer than %d bytes\n", path, INPUT_MAX);
        exit(1);
    }
    fclose(f);
    fprintf(stderr, "%s\n", path); /* so that the last line names the file that did it */
    return run_cuts(data, size);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static size_t replay_directory(const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_visible, alphasort);
    size_t runs = 0;

    if (count <= 0) {
        fprintf(stderr, "%s: %s\n", directory, count < 0 ? strerror(errno) : "has no files");
        exit(1);
    }
    for (int i = 0; i < count; i++) {
        char path[4096];
        if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name) >= sizeof path) {
            fprintf(stderr, "%s: path too long\n", directory);
            exit(1);
        }
        runs += replay_file(path);
        free(entries[i]);
    }
    free(entries);
    return runs;
}

int main(int argc, char **argv)
{
    size_t runs = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: %s DIRECTORY...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++)
        runs += replay_directory(argv[i]);
    fprintf(stderr, "%zu inputs\n", runs);
    return 0;
}
