/*
 * Text from the wire: a view of bytes that belong to somebody else, and the steps that parsers of text share.
 *
 * A view is never terminated and may hold any byte. The `take` functions remove what they recognise from the
 * front of the view; what they do not recognise they leave where it was. Letters are compared as ASCII,
 * whatever the locale. Grammar: RFC 9110 section 5.6.
 */
#ifndef PLAIT_WIRE_TEXT_H
#define PLAIT_WIRE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"
#include "err.h"

/* The longest URL that a document, a field or a journal may give us, in bytes. */
#define PLAIT_URL_MAX 4096

struct plait_text {
    const char *at; /* borrows; may be NULL where len is 0 */
    size_t len;
};

struct plait_text plait_text_of(const char *s, size_t len);
/* The view without spaces and tabs at either end. */
struct plait_text plait_text_trim(struct plait_text t);
/* The first `len` bytes, or fewer where there are no more. */
struct plait_text plait_text_first(struct plait_text t, size_t len);
/* Where `c` first stands, or t.len. */
size_t plait_text_find(struct plait_text t, char c);
/* Equal to the terminated `word`, upper and lower case being the same. */
bool plait_text_is(struct plait_text t, const char *word);

void plait_text_skip(struct plait_text *t, size_t len);
/* Drops spaces and tabs. */
void plait_text_skip_space(struct plait_text *t);
bool plait_text_take_char(struct plait_text *t, char c);
/* Takes the terminated `word`; upper and lower case differ. */
bool plait_text_take_word(struct plait_text *t, const char *word);
/* Takes the longest token; its length is 0 where none begins here. */
struct plait_text plait_text_take_token(struct plait_text *t);
/*
 * Takes a quoted string and gives what is between the quotes, backslashes and all. False, with nothing taken,
 * where none begins here, where it does not end, or where it holds a control character.
 */
bool plait_text_take_quoted(struct plait_text *t, struct plait_text *inside);
/*
 * Takes all digits there are as one decimal number. PLAIT_ERR_FORMAT without a digit, PLAIT_ERR_RANGE above
 * `max`; then nothing is taken.
 */
PLAIT_MUST_USE int plait_text_take_u64(struct plait_text *t, uint64_t max, uint64_t *out);
/* Takes exactly `digits` (at most 9) decimal digits. */
bool plait_text_take_digits(struct plait_text *t, size_t digits, uint32_t *out);
/*
 * Takes one character of well-formed UTF-8 (RFC 3629: shortest form, no surrogates). False, with nothing
 * taken, at the end and where the bytes are anything else.
 */
bool plait_text_take_utf8(struct plait_text *t, uint32_t *code_point);
bool plait_text_is_utf8(struct plait_text t);

/* The value of a hexadecimal digit, or −1. */
int plait_hex_value(char c);
/* Writes a code point (below 0x110000) as UTF-8. */
void plait_write_utf8(struct plait_writer *w, uint32_t code_point);

/*
 * Whether the view can be a URL with a scheme and an authority: of 1 to PLAIT_URL_MAX visible ASCII
 * characters, none of them a double quote, a backslash or an angle bracket, beginning with `scheme://` and
 * something after it.
 */
bool plait_text_is_url(struct plait_text t);

#endif
