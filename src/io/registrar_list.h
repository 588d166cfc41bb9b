/*
 * Lists of streams, for the registrar: sorted, so that two can be compared in one go.
 */
#ifndef PLAIT_IO_REGISTRAR_LIST_H
#define PLAIT_IO_REGISTRAR_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registrar.h"

/* A stream, with its texts. */
struct plait_list_stream {
    char *name;
    uint64_t size;
    char *sha256, *sha512; /* or NULL */
    size_t turn;           /* where it stood when it was given to us */
};

struct plait_stream_list {
    struct plait_list_stream *all; /* by rising name */
    size_t count;
};

/*
 * Copies, sorts, and keeps of those with one name the last. Names that no director takes are left out, so that one odd
 * file does not keep the others away. Returns owned, or NULL (out of memory).
 */
struct plait_stream_list *plait_stream_list_copy(const struct plait_registrar_stream *streams, size_t count);
void plait_stream_list_free(struct plait_stream_list *l);
/*
 * What is in `want` and not in `known`; with `compare`, also what is not the same there. The array is owned, its streams
 * are borrowed from `want`; it is NULL where memory lacks.
 */
struct plait_stream_list plait_stream_list_difference(const struct plait_stream_list *want,
                                                      const struct plait_stream_list *known, bool compare);

/* A copy of the text, or NULL for NULL; where memory lacks *failed becomes true. */
char *plait_copy_text(const char *text, bool *failed);

#endif
