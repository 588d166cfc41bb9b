#include "suite.h"

#include <stdio.h>
#include <string.h>

#include "units.h"

#define DIFFERENCES_SHOWN 10

int suite_run_seeds(uint64_t from, uint64_t count, uint64_t per_line,
                    bool (*run)(const void *options, uint64_t seed), const void *options)
{
    uint64_t lines = (count + per_line - 1) / per_line, failed = 0;

    printf("1..%llu\n", (unsigned long long)lines);
    for (uint64_t line = 0; line < lines; line++) {
        uint64_t first = from + line * per_line, end = plait_min_u64(first + per_line, from + count), bad = 0;
        for (uint64_t seed = first; seed < end; seed++)
            bad += !run(options, seed);
        printf("%s %llu - seeds %llu to %llu\n", bad == 0 ? "ok" : "not ok", (unsigned long long)line + 1,
               (unsigned long long)first, (unsigned long long)end - 1);
        failed += bad;
    }
    printf("# %llu of %llu seeds fail\n", (unsigned long long)failed, (unsigned long long)count);
    return failed > 0;
}

static int write_golden(FILE *f, suite_golden_fn *run)
{
    char name[SUITE_NAME_BYTES];
    uint64_t hash;

    for (unsigned i = 0; run(i, name, &hash); i++)
        fprintf(f, "%016llx %s\n", (unsigned long long)hash, name);
    return 0;
}

static int check_golden(FILE *f, suite_golden_fn *run, const char *part)
{
    char name[SUITE_NAME_BYTES], want_name[SUITE_NAME_BYTES] = "";
    unsigned long long want;
    uint64_t hash;
    unsigned differ = 0, i;

    printf("1..1\n");
    for (i = 0; run(i, name, &hash); i++) {
        bool same =
            fscanf(f, "%16llx %63s", &want, want_name) == 2 && want == hash && strcmp(name, want_name) == 0;
        if (!same && differ++ < DIFFERENCES_SHOWN)
            printf("# %s: trace hash %016llx differs\n", name, (unsigned long long)hash);
    }
    printf("%s 1 - %u trace hashes, %u differ\n", differ == 0 ? "ok" : "not ok", i, differ);
    if (differ > 0)
        printf("# after a change of it or the simulator: plait-sim %s --golden FILE --update\n", part);
    return differ > 0;
}

int suite_golden(const char *path, bool update, suite_golden_fn *run, const char *part)
{
    FILE *f = fopen(path, update ? "w" : "r");

    if (f == NULL) {
        perror(path);
        return 1;
    }
    int status = update ? write_golden(f, run) : check_golden(f, run, part);
    if (fclose(f) != 0) {
        perror(path);
        return 1;
    }
    return status;
}
