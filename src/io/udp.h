/*
 * UDP in batches: runs of datagrams of one size to one destination go out as one UDP_SEGMENT message, several
 * messages in one system call; UDP_GRO on the way in. Nothing is allocated for a packet.
 *
 * Datagrams are never fragmented (IP_PMTUDISC_PROBE): one that does not fit the interface is refused, one that
 * does not fit further on is lost; the path's MTU is for the sender to find out by probes.
 */
#ifndef PLAIT_IO_UDP_H
#define PLAIT_IO_UDP_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "err.h"

#define PLAIT_UDP_RUN_MAX       64    /* datagrams in one message: what kernels take before 6.9 */
#define PLAIT_UDP_RUN_BYTES_MAX 65000 /* of one message */

union plait_udp_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Where a datagram goes to or comes from. */
struct plait_udp_end {
    union plait_udp_address remote; /* to send with AF_UNSPEC: to whom the socket is connected */
    union plait_udp_address local;  /* our own address, without a port; AF_UNSPEC: as the kernel likes */
};

struct plait_udp_packet {
    uint8_t *data; /* borrows */
    uint32_t len;
    const struct plait_udp_end *end; /* borrows; the same pointer for as many as possible makes runs */
};

struct plait_udp {
    int fd; /* non-blocking; to be watched for being readable */
    int family;
    bool segments; /* UDP_SEGMENT works */
    bool connected;
    uint64_t cut_count;      /* datagrams that were longer than there was room for, and so were lost */
    uint32_t overflow_count; /* messages that came while the kernel's buffer was full, and so were lost */
};

struct plait_udp_options {
    /* Its family decides; the address may be the unspecified one, the port 0. Not AF_UNSPEC. */
    union plait_udp_address local;
    const char *interface;                 /* leaves through this one only (SO_BINDTODEVICE); or NULL */
    const union plait_udp_address *remote; /* connected to that: nobody else's are received; or NULL */
    uint32_t mark;                         /* SO_MARK, for policy.h; 0: none. Needs CAP_NET_ADMIN */
    unsigned buffer_bytes;                 /* of the kernel, each way; 0: 4 MiB, or what it allows */
    bool shared;                           /* other sockets of ours may have the same address and port */
    bool plain;                            /* without UDP_SEGMENT and UDP_GRO, for comparison */
};

/*
 * IPv6 sockets are for IPv6 alone. PLAIT_ERR_NOTFOUND where the interface or the address is not there (now);
 * PLAIT_ERR_STATE where the port is taken; PLAIT_ERR_IO (errno).
 */
PLAIT_MUST_USE int plait_udp_open(struct plait_udp *u, const struct plait_udp_options *o);
void plait_udp_close(struct plait_udp *u);
/*
 * Of the sockets of one shared address and port, in the order in which they were opened, the first gets the datagrams
 * that begin with this byte, the second all others: a crowd at one door does not block the other. PLAIT_ERR_IO.
 */
PLAIT_MUST_USE int plait_udp_sort(const struct plait_udp *u, uint8_t first_byte);
/* The address and port that it is bound to. PLAIT_ERR_IO. */
PLAIT_MUST_USE int plait_udp_local(const struct plait_udp *u, union plait_udp_address *out);
/* A literal address of IPv4 or IPv6. PLAIT_ERR_FORMAT. */
PLAIT_MUST_USE int plait_udp_address_parse(const char *host, uint16_t port, union plait_udp_address *out);
void plait_udp_address_set_port(union plait_udp_address *a, uint16_t port);
uint16_t plait_udp_address_port(const union plait_udp_address *a);
bool plait_udp_address_equal(const union plait_udp_address *a,
                             const union plait_udp_address *b); /* and port */
/* The longest datagram (without IP and UDP headers) that fits an interface of that MTU; 0 where none does. */
unsigned plait_udp_payload_max(int family, unsigned mtu);

enum plait_udp_trouble {
    PLAIT_UDP_OK,
    PLAIT_UDP_FULL,     /* no room in the socket or the interface: try again when time has passed */
    PLAIT_UDP_TOO_LONG, /* the datagram does not fit the interface */
    PLAIT_UDP_NO_WAY,   /* no route, interface down or gone, address gone: this path does not carry now */
    PLAIT_UDP_REFUSED,  /* nobody listens over there (an ICMP message said so); may be sent again */
    PLAIT_UDP_DENIED,   /* a firewall of this machine */
    PLAIT_UDP_OTHER,    /* errno */
};

/*
 * Sends list[0 … count) in order. *sent is how many the kernel has taken; with less than `count`, the result tells
 * what it had against list[*sent]. The caller leaves that one out or tries it again, and goes on.
 */
PLAIT_MUST_USE enum plait_udp_trouble plait_udp_send(struct plait_udp *u, const struct plait_udp_packet *list,
                                                     size_t count, size_t *sent);
const char *plait_udp_trouble_text(enum plait_udp_trouble trouble); /* never NULL */

/* Room for what is received at once. */
struct plait_udp_inbox;

/*
 * `messages` system buffers of 64 KiB; 8 are enough to be as fast as more. Returns owned, or NULL. One inbox may
 * serve several sockets, one after the other.
 */
struct plait_udp_inbox *plait_udp_inbox_new(unsigned messages);
void plait_udp_inbox_free(struct plait_udp_inbox *in); /* NULL is harmless */

/*
 * Takes what is there, at most one inbox full. Returns how many datagrams, or PLAIT_ERR_IO for an error other than
 * a passing one (the socket stays usable). *list then holds them, each with its end, until the next call with this
 * inbox; they may be written to within their length.
 */
PLAIT_MUST_USE int plait_udp_recv(struct plait_udp *u, struct plait_udp_inbox *in,
                                  const struct plait_udp_packet **list);

#endif
