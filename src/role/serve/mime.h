/*
 * Content types by the ending of a file's name: a table of our own for what is common on the web, before the
 * system's /etc/mime.types for everything else.
 */
#ifndef PLAIT_SERVE_MIME_H
#define PLAIT_SERVE_MIME_H

#include <stddef.h>

#include "err.h"

struct plait_mime_entry {
    const char *ending; /* lower case, without the dot */
    const char *type;
};

struct plait_mime {
    char *text;                       /* owned: the file, cut into words */
    struct plait_mime_entry *entries; /* owned: sorted by ending */
    size_t count;
};

/*
 * Reads a file in the format of mime.types; NULL for none. A file that is not there leaves our own table,
 * which is no error. PLAIT_ERR_NOMEM, PLAIT_ERR_IO, PLAIT_ERR_LIMIT above 4 MiB; then too our own table can
 * be used.
 */
PLAIT_MUST_USE int plait_mime_init(struct plait_mime *m, const char *path);
void plait_mime_done(struct plait_mime *m);

/*
 * The type of a file of that name or path, never NULL. Text is UTF-8, as everywhere on the web today; what is
 * not known is application/octet-stream.
 */
const char *plait_mime_of(const struct plait_mime *m, const char *name);

#endif
