/*
 * Metalink documents: where copies of files are, how long the files are and what digests they have. Version 4
 * (RFC 5854) and the elements of version 3 that say the same.
 *
 * A document comes from strangers. A document type declaration is refused, and with it every entity but XML's
 * own five; depth, counts, lengths and the whole are bounded. Elements that are not known are passed over
 * with all that they contain.
 */
#ifndef PLAIT_WIRE_METALINK_H
#define PLAIT_WIRE_METALINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "err.h"

#define PLAIT_METALINK_BYTES_MAX  ((size_t)32 * 1024 * 1024)
#define PLAIT_METALINK_TOKEN_MAX  ((size_t)64 * 1024) /* a tag or a comment */
#define PLAIT_METALINK_DEPTH_MAX  32u
#define PLAIT_METALINK_FILES_MAX  1024u
#define PLAIT_METALINK_URLS_MAX   4096u   /* in one file */
#define PLAIT_METALINK_PIECES_MAX 262144u /* in one file */
#define PLAIT_METALINK_SIZE_MAX   ((uint64_t)INT64_MAX)

struct plait_metalink_url {
    char *url;         /* as plait_text_is_url has it, of any scheme */
    uint32_t priority; /* 1, the best, to PLAIT_PRIORITY_MAX (link.h), which is also that of none */
    char location[3];  /* two small letters (ISO 3166-1), or "" */
};

struct plait_metalink_pieces {
    uint64_t length;           /* bytes of each piece but the last */
    enum plait_digest_alg alg; /* NONE: the file has no pieces; SHA-1 occurs */
    size_t count;
    uint8_t *bytes; /* count digests of plait_digest_alg_len(alg) each, in the order of the pieces */
};

struct plait_metalink_file {
    char *name; /* safe (name.h); two files may have the same */
    bool has_size;
    uint64_t size;
    struct plait_digest digest; /* the strongest given, or NONE; it may be weak */
    struct plait_metalink_pieces pieces;
    struct plait_metalink_url *urls; /* in the document's order */
    size_t url_count;
};

/* Owns its memory. */
struct plait_metalink {
    struct plait_metalink_file *files;
    size_t file_count; /* at least 1 */
};

struct plait_metalink_parser;

/* NULL without memory. */
struct plait_metalink_parser *plait_metalink_parser_new(void);
/*
 * Takes the next bytes of the document. PLAIT_ERR_FORMAT, PLAIT_ERR_RANGE (a number), PLAIT_ERR_LIMIT (a
 * bound above) or PLAIT_ERR_NOMEM; the first failure is also what all later calls return.
 */
PLAIT_MUST_USE int plait_metalink_parser_feed(struct plait_metalink_parser *p, const void *bytes, size_t len);
/*
 * Ends the document and hands it over; the parser can only be freed after that. As feed, and PLAIT_ERR_FORMAT
 * for a document that is not complete or has no file. `out` is written only on success.
 */
PLAIT_MUST_USE int plait_metalink_parser_finish(struct plait_metalink_parser *p, struct plait_metalink *out);
void plait_metalink_parser_free(struct plait_metalink_parser *p);

/* The whole document at once; errors as above. */
PLAIT_MUST_USE int plait_metalink_parse(const void *bytes, size_t len, struct plait_metalink *out);
void plait_metalink_done(struct plait_metalink *m);

/*
 * Whether bytes from the start of a file or an answer are those of a metalink: UTF-8 or ASCII whose first
 * element, after XML's prolog, is a <metalink>. False where that element has not yet begun in them.
 */
bool plait_metalink_sniff(const void *bytes, size_t len);

#endif
