/*
 * The Link field (RFC 8288), with what RFC 6249 adds for mirrors of a file: `rel=duplicate; pri=1; geo=de`.
 *
 * One value may list several links. An iterator gives them in order, allocating nothing.
 */
#ifndef PLAIT_WIRE_LINK_H
#define PLAIT_WIRE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "text.h"

/* Priorities of mirrors, 1 being the best; where none is given, the last. */
#define PLAIT_PRIORITY_MAX 999999u

/* Views borrow from the input; one whose len is 0 was not given. Of a repeated parameter the first counts. */
struct plait_link {
    struct plait_text uri;  /* between the angle brackets; may be relative */
    struct plait_text rel;  /* relation types, separated by spaces */
    struct plait_text type; /* media type */
    struct plait_text geo;  /* where the mirror is: a country's code, ISO 3166-1 */
    uint32_t pri;           /* 1–PLAIT_PRIORITY_MAX */
    uint32_t depth;         /* how many of the last path segments the mirror shares with us; 0 = not given */
    bool pref;              /* a mirror that is preferred, being kept in step by the origin */
};

struct plait_link_iter {
    struct plait_text left; /* borrows */
};

void plait_link_iter_init(struct plait_link_iter *it, const char *s, size_t len);
/*
 * Gives the next link. PLAIT_ERR_NOTFOUND after the last; PLAIT_ERR_FORMAT or PLAIT_ERR_LIMIT (an address
 * longer than PLAIT_URL_MAX) where the rest cannot be understood, and PLAIT_ERR_NOTFOUND from then on: what
 * came before stands.
 */
PLAIT_MUST_USE int plait_link_next(struct plait_link_iter *it, struct plait_link *out);
/* Whether `rel` is among the link's relation types. */
bool plait_link_has_rel(const struct plait_link *link, const char *rel);

#endif
