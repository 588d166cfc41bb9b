/*
 * A topology: hosts, what joins them, and what happens when. Read from a text file (lab/README.md has the
 * format). Plain data with fixed bounds; reading it changes nothing on the machine.
 */
#ifndef PLAIT_LAB_TOPOLOGY_H
#define PLAIT_LAB_TOPOLOGY_H

#include "shape.h"

enum {
    LAB_NAME_MAX = 16, /* with the 0: names become interface names */
    LAB_ADDR_MAX = 64, /* "2001:db8::1/64" */
    LAB_TEXT_MAX = 160,
    LAB_HOSTS_MAX = 32,
    LAB_LINKS_MAX = 32,
    LAB_LANS_MAX = 8,
    LAB_ENDS_MAX = 16,     /* hosts on one LAN */
    LAB_END_ADDRS_MAX = 4, /* addresses of one end */
    LAB_EXTRAS_MAX = 64,   /* addr, route and sysctl lines, each */
    LAB_EVENTS_MAX = 256,
    LAB_WORDS_MAX = 64, /* on one line */
};

struct lab_end {
    size_t host; /* index into hosts */
    char addr[LAB_END_ADDRS_MAX][LAB_ADDR_MAX];
    size_t addr_count;
};

struct lab_host {
    char name[LAB_NAME_MAX];
    bool forward;
};

/* A link or a plain veth pair; its interface has its name in both hosts. */
struct lab_link {
    char name[LAB_NAME_MAX];
    bool emulated; /* false: a veth pair, whose shape means nothing */
    struct lab_end end[2];
    struct lab_shape shape[LAB_WAYS];
    unsigned mtu_bytes;
    bool has_default; /* a default route for the first host through the second */
    unsigned metric;  /* of that route */
};

/* A bridge in a namespace of its own; each host's interface has the LAN's name. */
struct lab_lan {
    char name[LAB_NAME_MAX];
    struct lab_end end[LAB_ENDS_MAX];
    size_t end_count;
};

/* `addr HOST …`, `route HOST …`, `sysctl HOST …`: what follows the host, for ip or /proc/sys. */
struct lab_extra {
    size_t host;
    char text[LAB_TEXT_MAX];
};

struct lab_event {
    uint64_t at_ns;    /* after the start or the last mark */
    uint64_t every_ns; /* again and again; 0 = once */
    size_t link;
    char text[LAB_TEXT_MAX]; /* words for lab_shape_apply, known to be right */
};

struct lab_topology {
    struct lab_host host[LAB_HOSTS_MAX];
    struct lab_link link[LAB_LINKS_MAX];
    struct lab_lan lan[LAB_LANS_MAX];
    struct lab_extra addr[LAB_EXTRAS_MAX], route[LAB_EXTRAS_MAX], sysctl[LAB_EXTRAS_MAX];
    struct lab_event event[LAB_EVENTS_MAX];
    size_t host_count, link_count, lan_count, addr_count, route_count, sysctl_count, event_count;
    bool has_seed;
    uint64_t seed;
};

/*
 * Reads `path` ("-": standard input). On error says `path:line: what is wrong` on standard error, and
 * `topology` is not to be used.
 */
PLAIT_MUST_USE int lab_topology_read(struct lab_topology *topology, const char *path);
/* The index of the link of that name, or PLAIT_ERR_NOTFOUND. */
PLAIT_MUST_USE int lab_topology_find_link(const struct lab_topology *topology, const char *name);
/* Splits `line` in place at white space, up to a '#'; returns the number of words, at most `max`. */
size_t lab_topology_split(char *line, char *words[], size_t max);

#endif
