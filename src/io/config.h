/*
 * Configuration files: sections named like git's, `key = value` lines (read with inih), `;` and `#` comments.
 *
 *     [hub]
 *     listen = 0.0.0.0:4040
 *     [node "farm"]
 *     lan = 15              ; one comment
 *
 * The caller says which sections there are and which keys each may have; anything else is refused with the file,
 * the line and the list of what is allowed. Values are looked at by the typed getters. A getter of a key that is
 * not there leaves *out alone, which therefore holds the default, and returns PLAIT_OK; a value that is wrong
 * makes it return PLAIT_ERR_FORMAT or PLAIT_ERR_RANGE, and plait_config_error then tells file, line and what is
 * allowed (the first error stays). Bad labels, sections and keys given twice are errors of reading.
 */
#ifndef PLAIT_IO_CONFIG_H
#define PLAIT_IO_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "err.h"
#include "prefix.h"

#define PLAIT_CONFIG_LABEL_MAX 31  /* of letters, digits, `.`, `_`, `-`; the first is a letter or a digit */
#define PLAIT_CONFIG_LINE_MAX  197 /* inih's */
#define PLAIT_CONFIG_HOST_MAX  254 /* a host name and its terminator */

/* A key that a section may have. */
struct plait_config_key {
    const char *name; /* NULL ends a list */
    bool repeated;    /* may be given several times: plait_config_text_at */
};

/* A kind of section. */
struct plait_config_kind {
    const char *name; /* NULL ends a list */
    bool labelled;    /* [name "label"], any number with different labels; else [name], once */
    const struct plait_config_key *keys; /* borrowed as long as the configuration */
};

struct plait_config;
struct plait_config_section;

/*
 * Reads a file. Returns owned, always through *out, also where it fails (then only for plait_config_error), but
 * NULL with PLAIT_ERR_NOMEM. PLAIT_ERR_NOTFOUND where there is no such file, PLAIT_ERR_IO where it cannot be read,
 * PLAIT_ERR_FORMAT for what is in it.
 */
PLAIT_MUST_USE int plait_config_read(const char *path, const struct plait_config_kind *kinds,
                                     struct plait_config **out);
/* The same from memory; `name` stands for the file in errors. */
PLAIT_MUST_USE int plait_config_parse(const char *name, const char *text,
                                      const struct plait_config_kind *kinds, struct plait_config **out);
void plait_config_free(struct plait_config *c); /* NULL is harmless */
/* The first error, one line without a newline, "FILE:LINE: …"; "" where there was none. */
const char *plait_config_error(const struct plait_config *c);

/* Sections of a kind, in the order of the file. */
size_t plait_config_count(const struct plait_config *c, const char *kind);
/* NULL beyond the count. Borrowed from `c`. */
struct plait_config_section *plait_config_section(struct plait_config *c, const char *kind, size_t i);
const char *plait_config_label(const struct plait_config_section *s); /* "" where it has none */

/* The value, or NULL where the key is not there. Borrowed from the configuration. */
const char *plait_config_text(const struct plait_config_section *s, const char *key);
/* The i-th value of a repeated key, NULL beyond the last. */
const char *plait_config_text_at(const struct plait_config_section *s, const char *key, size_t i);
/* PLAIT_ERR_NOTFOUND, and an error that says so, where the key is missing. */
PLAIT_MUST_USE int plait_config_require(struct plait_config_section *s, const char *key);
/* The caller found the (i-th) value wrong: notes "FILE:LINE: KEY = VALUE: …". Returns PLAIT_ERR_FORMAT. */
PLAIT_PRINTF(4, 5)
int plait_config_fail(struct plait_config_section *s, const char *key, size_t i, const char *format, ...);
/* The section as a whole is wrong: notes "FILE:LINE: [KIND "LABEL"]: …". Returns PLAIT_ERR_FORMAT. */
PLAIT_PRINTF(2, 3)
int plait_config_fail_section(struct plait_config_section *s, const char *format, ...);

/* From 1 to `size` − 1 characters, terminated. */
PLAIT_MUST_USE int plait_config_get_text(struct plait_config_section *s, const char *key, char *out,
                                         size_t size);
/* yes/no, true/false, on/off, 1/0 */
PLAIT_MUST_USE int plait_config_get_flag(struct plait_config_section *s, const char *key, bool *out);
/* Digits only, min ≤ value ≤ max. */
PLAIT_MUST_USE int plait_config_get_number(struct plait_config_section *s, const char *key, uint64_t min,
                                           uint64_t max, uint64_t *out);
/* One of the words of a NULL-ended list: its index. */
PLAIT_MUST_USE int plait_config_get_choice(struct plait_config_section *s, const char *key,
                                           const char *const *words, size_t *out);
/* `10M`: bits a second with k, M, G (powers of ten), perhaps a fraction. In bytes a second. */
PLAIT_MUST_USE int plait_config_get_rate(struct plait_config_section *s, const char *key,
                                         double *bytes_per_s);
/* DOWN/UP of two rates, or one rate for both. */
PLAIT_MUST_USE int plait_config_get_rates(struct plait_config_section *s, const char *key, double *down,
                                          double *up);
/* `auto`: both 0. N, or DOWN/UP: numbers above 0, perhaps with a fraction. */
PLAIT_MUST_USE int plait_config_get_weights(struct plait_config_section *s, const char *key, double *down,
                                            double *up);

enum plait_config_period { PLAIT_CONFIG_DAY, PLAIT_CONFIG_WEEK, PLAIT_CONFIG_MONTH };

/* `50G/month`: bytes with k, M, G, T (powers of ten) in a day, week or month. */
PLAIT_MUST_USE int plait_config_get_quota(struct plait_config_section *s, const char *key, uint64_t *bytes,
                                          enum plait_config_period *period);
/* `300ms`, `5s`, `5m`, `2h`, `1d`; without a unit seconds. In ns. */
PLAIT_MUST_USE int plait_config_get_time(struct plait_config_section *s, const char *key, uint64_t *ns);

/* `10.77.0.0/16`, `fd00::/64`; bits beyond the prefix must be 0. */
PLAIT_MUST_USE int plait_config_get_prefix(struct plait_config_section *s, const char *key,
                                           struct plait_prefix *out);
/* An address, perhaps with a prefix: `10.77.15.1`, `10.77.15.1/24`, `fd00::1/64`. Without one, all bits. */
PLAIT_MUST_USE int plait_config_get_address(struct plait_config_section *s, const char *key,
                                            struct plait_prefix *out);

/* Where something is to be reached: a name or an address in numbers, and a port. */
struct plait_config_endpoint {
    char host[PLAIT_CONFIG_HOST_MAX]; /* without brackets */
    uint16_t port;
};

/* `HOST:PORT`, `ADDRESS:PORT`, `[IPv6]:PORT`, or without a port where default_port is not 0. */
PLAIT_MUST_USE int plait_config_get_endpoint(struct plait_config_section *s, const char *key,
                                             uint16_t default_port, struct plait_config_endpoint *out);

/* The same for one word, as elements of lists need it: 0, PLAIT_ERR_FORMAT or PLAIT_ERR_RANGE. */
PLAIT_MUST_USE int plait_config_parse_prefix(const char *text, struct plait_prefix *out);
PLAIT_MUST_USE int plait_config_parse_endpoint(const char *text, uint16_t default_port,
                                               struct plait_config_endpoint *out);
PLAIT_MUST_USE int plait_config_parse_rate(const char *text, double *bytes_per_s);
PLAIT_MUST_USE int plait_config_parse_time(const char *text, uint64_t *ns);

/*
 * The next word of a list that is separated by commas and blanks; *at moves on. PLAIT_OK; PLAIT_ERR_NOTFOUND at
 * the end; PLAIT_ERR_LIMIT where the word does not fit.
 */
PLAIT_MUST_USE int plait_config_word(const char **at, char *out, size_t size);

#endif
