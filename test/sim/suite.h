/*
 * What the parts of plait-sim have in common: many worlds in a row, as TAP, and trace hashes against a file. All print to
 * standard output and return an exit status.
 */
#ifndef PLAIT_TEST_SUITE_H
#define PLAIT_TEST_SUITE_H

#include <stdbool.h>
#include <stdint.h>

#define SUITE_NAME_BYTES 64

/* `run` for each of `count` worlds from `from` on, with a line of TAP for each `per_line` of them. `options` is passed on. */
int suite_run_seeds(uint64_t from, uint64_t count, uint64_t per_line,
                    bool (*run)(const void *options, uint64_t seed), const void *options);

/* Name and trace hash of the i-th run of a fixed set; false after the last. */
typedef bool suite_golden_fn(unsigned i, char name[SUITE_NAME_BYTES], uint64_t *hash);
/* The hashes against the file, or into it. `part` names the command that writes them anew. */
int suite_golden(const char *path, bool update, suite_golden_fn *run, const char *part);

#endif
