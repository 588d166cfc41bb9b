/*
 * The allow-list: which destinations a relay serves. Nothing is allowed that no rule names.
 *
 * A rule is HOST:PORT. HOST is a name, an address, or a prefix, IPv6 in brackets: `www.example.net:443`,
 * `192.0.2.7:80`, `192.0.2.0/24:443`, `[2001:db8::/32]:*`; PORT a number or `*` for all.
 *
 * It is addresses that are judged, after names have been resolved, so that nobody's name server can lead a
 * client inside: a private, loopback or link-local address (and every other one that is not of the public
 * Internet) is allowed only by a rule that names an address or a prefix wholly within such a range, and an
 * address of the relay's own machine only by a rule for exactly that address or, where it is private, by such
 * a prefix. Multicast, broadcast and "this network" are never allowed.
 */
#ifndef PLAIT_RELAY_ALLOW_H
#define PLAIT_RELAY_ALLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_ALLOW_RULES_MAX 1024u
#define PLAIT_ALLOW_NAME_MAX  253u /* bytes of a host's name (RFC 1035) */
/* Enough for any rule as text and its terminator. */
#define PLAIT_ALLOW_TEXT_MAX  (PLAIT_ALLOW_NAME_MAX + 8u)

/* 16 bytes, as in IPv6; IPv4 addresses are those mapped into it (RFC 4291 section 2.5.5.2). */
struct plait_address {
    uint8_t bytes[16];
};

enum plait_address_class {
    PLAIT_ADDRESS_PUBLIC,
    PLAIT_ADDRESS_PRIVATE, /* special purpose (RFC 6890), also inside a transition address */
    PLAIT_ADDRESS_NEVER,   /* multicast, broadcast, unspecified */
};

struct plait_allow_rule {
    char name[PLAIT_ALLOW_NAME_MAX + 1]; /* in small letters; "" for a rule of addresses */
    struct plait_address prefix;
    uint8_t bits;    /* of the 128 that count; for IPv4 at least 96 */
    bool is_private; /* the prefix lies wholly within a range that is not public */
    uint16_t port;   /* 0 = all */
};

/* Owns its memory; all zeros is an empty list. */
struct plait_allow {
    struct plait_allow_rule *rules;
    size_t count;
};

/*
 * Adds a rule. PLAIT_ERR_FORMAT where it is not one, PLAIT_ERR_RANGE for a port or a length of a prefix that
 * cannot be and for a prefix with bits beyond its length, PLAIT_ERR_LIMIT, PLAIT_ERR_NOMEM; then nothing is
 * added.
 */
PLAIT_MUST_USE int plait_allow_add(struct plait_allow *a, const char *text);
void plait_allow_done(struct plait_allow *a);
/* Writes a rule in its one form. Returns `out`. */
const char *plait_allow_text(const struct plait_allow_rule *rule, char out[PLAIT_ALLOW_TEXT_MAX]);

/*
 * Makes the one form of a host's name: small letters, without a final dot. PLAIT_ERR_FORMAT for anything but
 * letters, digits, hyphens and underscores in labels of 1 to 63, and for a name whose last label begins with
 * a digit: resolvers read those as addresses.
 */
PLAIT_MUST_USE int plait_host_name(const char *s, size_t len, char out[PLAIT_ALLOW_NAME_MAX + 1]);
/* An address as people write it: IPv4 with four numbers, or IPv6 without brackets and zone. PLAIT_ERR_FORMAT. */
PLAIT_MUST_USE int plait_address_parse(const char *s, size_t len, struct plait_address *out);
bool plait_address_is_v4(const struct plait_address *a);
enum plait_address_class plait_address_class(const struct plait_address *a);

/* Whether resolving that name can lead to anything that is allowed. */
bool plait_allow_may_name(const struct plait_allow *a, const char *name, uint16_t port);
/* Whether the address is allowed; `name` led to it, or is NULL; `is_own`: an interface of this machine has it. */
bool plait_allow_address(const struct plait_allow *a, const char *name, const struct plait_address *address,
                         uint16_t port, bool is_own);

#endif
