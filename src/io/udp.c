#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES   (4 * 1024 * 1024)
#define MESSAGES_MAX   16 /* of one sendmmsg */
#define MESSAGE_BYTES  65536
#define CONTROL_BYTES  128
#define INBOX_MESSAGES 64

static socklen_t address_len(const union plait_udp_address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

int plait_udp_address_parse(const char *host, uint16_t port, union plait_udp_address *out)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1)
        out->any.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1)
        out->any.sa_family = AF_INET6;
    else
        return PLAIT_ERR_FORMAT;
    plait_udp_address_set_port(out, port);
    return PLAIT_OK;
}

void plait_udp_address_set_port(union plait_udp_address *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}

uint16_t plait_udp_address_port(const union plait_udp_address *a)
{
    return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

bool plait_udp_address_equal(const union plait_udp_address *a, const union plait_udp_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    if (a->any.sa_family == AF_INET6)
        return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
               memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
    return true;
}

unsigned plait_udp_payload_max(int family, unsigned mtu)
{
    unsigned headers = family == AF_INET6 ? 40 + 8 : 20 + 8;

    return mtu > headers ? (mtu < 65535 ? mtu : 65535) - headers : 0;
}

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* What the kernel allows to those without CAP_NET_ADMIN is less; it cuts by itself. */
static void set_buffers(int fd, unsigned bytes)
{
    int value = (int)(bytes > 0 ? bytes : BUFFER_BYTES);

    if (!set(fd, SOL_SOCKET, SO_RCVBUFFORCE, value))
        (void)set(fd, SOL_SOCKET, SO_RCVBUF, value);
    if (!set(fd, SOL_SOCKET, SO_SNDBUFFORCE, value))
        (void)set(fd, SOL_SOCKET, SO_SNDBUF, value);
}

static bool set_family(int fd, int family)
{
    if (family == AF_INET6)
        return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
               set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE) &&
               set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    return set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE) && set(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

static int prepare(struct plait_udp *u, const struct plait_udp_options *o)
{
    if (!set_family(u->fd, u->family))
        return PLAIT_ERR_IO;
    set_buffers(u->fd, o->buffer_bytes);
    (void)set(u->fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    if (o->mark != 0 && setsockopt(u->fd, SOL_SOCKET, SO_MARK, &o->mark, sizeof o->mark) != 0)
        return PLAIT_ERR_IO;
    if (o->interface != NULL &&
        setsockopt(u->fd, SOL_SOCKET, SO_BINDTODEVICE, o->interface, (socklen_t)strlen(o->interface)) != 0)
        return errno == ENODEV ? PLAIT_ERR_NOTFOUND : PLAIT_ERR_IO;
    if (o->shared && !set(u->fd, SOL_SOCKET, SO_REUSEPORT, 1))
        return PLAIT_ERR_IO;
    if (bind(u->fd, &o->local.any, address_len(&o->local)) != 0)
        return errno == EADDRNOTAVAIL ? PLAIT_ERR_NOTFOUND
               : errno == EADDRINUSE  ? PLAIT_ERR_STATE
                                      : PLAIT_ERR_IO;
    if (o->remote != NULL && connect(u->fd, &o->remote->any, address_len(o->remote)) != 0)
        return errno == ENETUNREACH || errno == EHOSTUNREACH || errno == ENETDOWN ? PLAIT_ERR_NOTFOUND
                                                                                  : PLAIT_ERR_IO;
    u->connected = o->remote != NULL;
    if (!o->plain) {
        u->segments = set(u->fd, SOL_UDP, UDP_SEGMENT, 0);
        (void)set(u->fd, SOL_UDP, UDP_GRO, 1); /* without it each datagram comes by itself */
    }
    return PLAIT_OK;
}

int plait_udp_open(struct plait_udp *u, const struct plait_udp_options *o)
{
    int err, saved;

    memset(u, 0, sizeof *u);
    u->family = o->local.any.sa_family;
    u->fd = socket(u->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (u->fd < 0)
        return PLAIT_ERR_IO;
    err = prepare(u, o);
    if (err == PLAIT_OK)
        return PLAIT_OK;
    saved = errno;
    plait_udp_close(u);
    errno = saved;
    return err;
}

void plait_udp_close(struct plait_udp *u)
{
    if (u->fd >= 0)
        close(u->fd);
    u->fd = -1;
}

int plait_udp_sort(const struct plait_udp *u, uint8_t first_byte)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), /* offsets count from the payload on */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first_byte, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 1),
    };
    struct sock_fprog program = {.len = sizeof steps / sizeof steps[0], .filter = steps};

    return setsockopt(u->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0
               ? PLAIT_OK
               : PLAIT_ERR_IO;
}

int plait_udp_local(const struct plait_udp *u, union plait_udp_address *out)
{
    socklen_t len = sizeof *out;

    return getsockname(u->fd, &out->any, &len) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
}

static enum plait_udp_trouble trouble_of_errno(void)
{
    switch (errno) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        return PLAIT_UDP_FULL;
    case EMSGSIZE:
        return PLAIT_UDP_TOO_LONG;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENODEV:
    case ENXIO:
    case EADDRNOTAVAIL:
        return PLAIT_UDP_NO_WAY;
    case ECONNREFUSED:
        return PLAIT_UDP_REFUSED;
    case EPERM:
    case EACCES:
        return PLAIT_UDP_DENIED;
    default:
        return PLAIT_UDP_OTHER;
    }
}

const char *plait_udp_trouble_text(enum plait_udp_trouble trouble)
{
    switch (trouble) {
    case PLAIT_UDP_OK:
        break;
    case PLAIT_UDP_FULL:
        return "the interface's queue is full";
    case PLAIT_UDP_TOO_LONG:
        return "the datagram is longer than the interface's MTU";
    case PLAIT_UDP_NO_WAY:
        return "there is no route, or the interface or its address is gone";
    case PLAIT_UDP_REFUSED:
        return "nobody listens there";
    case PLAIT_UDP_DENIED:
        return "a firewall of this machine refuses it";
    case PLAIT_UDP_OTHER:
        return "the kernel refuses it";
    }
    return "ok";
}

/* How many of the datagrams from `list` on are of one size (the last may be shorter) and to one end. */
static size_t run_length(const struct plait_udp_packet *list, size_t count)
{
    uint32_t size = list[0].len;
    size_t n = 1, bytes = size, max = count < PLAIT_UDP_RUN_MAX ? count : PLAIT_UDP_RUN_MAX;

    while (n < max && list[n].end == list[0].end && list[n].len <= size && list[n].len > 0 &&
           bytes + list[n].len <= PLAIT_UDP_RUN_BYTES_MAX && list[n - 1].len == size)
        bytes += list[n++].len;
    return n;
}

/* One system call's messages. */
struct outbox {
    struct mmsghdr messages[MESSAGES_MAX];
    size_t runs[MESSAGES_MAX];
    struct iovec parts[MESSAGES_MAX * PLAIT_UDP_RUN_MAX];
    union {
        char bytes[CONTROL_BYTES];
        struct cmsghdr align;
    } control[MESSAGES_MAX];
};

/* The next ancillary datum of the message. */
static void *put_control(struct msghdr *m, int level, int type, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)((char *)m->msg_control + m->msg_controllen);

    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    m->msg_controllen += CMSG_SPACE(len);
    return CMSG_DATA(c);
}

static void put_local(struct msghdr *m, const union plait_udp_address *local)
{
    if (local->any.sa_family == AF_INET) {
        struct in_pktinfo info = {.ipi_spec_dst = local->v4.sin_addr};
        memcpy(put_control(m, IPPROTO_IP, IP_PKTINFO, sizeof info), &info, sizeof info);
    } else if (local->any.sa_family == AF_INET6) {
        struct in6_pktinfo info = {.ipi6_addr = local->v6.sin6_addr, .ipi6_ifindex = local->v6.sin6_scope_id};
        memcpy(put_control(m, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info), &info, sizeof info);
    }
}

static void put_message(struct outbox *o, size_t i, struct iovec *parts, const struct plait_udp_packet *list,
                        size_t run)
{
    struct msghdr *m = &o->messages[i].msg_hdr;
    const struct plait_udp_end *end = list[0].end;

    memset(m, 0, sizeof *m);
    m->msg_iov = parts;
    m->msg_iovlen = run;
    for (size_t k = 0; k < run; k++)
        parts[k] = (struct iovec){list[k].data, list[k].len};
    m->msg_control = o->control[i].bytes;
    if (end->remote.any.sa_family != AF_UNSPEC) {
        m->msg_name = (void *)(uintptr_t)&end->remote;
        m->msg_namelen = address_len(&end->remote);
    }
    put_local(m, &end->local);
    if (run > 1) {
        uint16_t size = (uint16_t)list[0].len;
        memcpy(put_control(m, SOL_UDP, UDP_SEGMENT, sizeof size), &size, sizeof size);
    }
    if (m->msg_controllen == 0)
        m->msg_control = NULL;
    o->runs[i] = run;
}

/* Sends what fits one system call; *sent grows. False, with errno, where the kernel did not want the next one. */
static bool send_some(struct plait_udp *u, const struct plait_udp_packet *list, size_t count, size_t *sent)
{
    struct outbox o;
    size_t messages = 0, used = 0;
    int done;

    while (used < count && messages < MESSAGES_MAX) {
        size_t run = u->segments ? run_length(list + used, count - used) : 1;
        put_message(&o, messages++, o.parts + used, list + used, run);
        used += run;
    }
    do
        done = sendmmsg(u->fd, o.messages, (unsigned)messages, MSG_NOSIGNAL);
    while (done < 0 && errno == EINTR);
    for (int i = 0; i < done; i++)
        *sent += o.runs[i];
    return done > 0;
}

/*
 * A run that the kernel refuses as a whole may consist of datagrams that it takes: one that is too long for the
 * interface is refused with EINVAL by some versions, and an interface without checksum offload with EIO.
 */
static bool send_singly(struct plait_udp *u, const struct plait_udp_packet *list, size_t count, size_t *sent)
{
    size_t n = run_length(list, count), before = *sent;
    bool again = errno == EIO;

    u->segments = false;
    bool good = send_some(u, list, n, sent);
    if (*sent - before == n && again)
        return true; /* and it stays like that */
    u->segments = true;
    return good;
}

enum plait_udp_trouble plait_udp_send(struct plait_udp *u, const struct plait_udp_packet *list, size_t count,
                                      size_t *sent)
{
    *sent = 0;
    while (*sent < count) {
        size_t left = count - *sent;
        const struct plait_udp_packet *next = list + *sent;
        if (send_some(u, next, left, sent))
            continue;
        bool refused = errno == EINVAL || errno == EIO || errno == EMSGSIZE;
        if (refused && u->segments && run_length(next, left) > 1 && send_singly(u, next, left, sent))
            continue;
        return trouble_of_errno();
    }
    return PLAIT_UDP_OK;
}

struct plait_udp_inbox {
    unsigned messages;
    uint8_t *bytes; /* owned: messages × MESSAGE_BYTES */
    struct mmsghdr *headers;
    struct iovec *parts;
    struct plait_udp_end *ends;
    struct plait_udp_packet *packets; /* owned: messages × PLAIT_UDP_RUN_MAX */
    union inbox_control {
        char bytes[CONTROL_BYTES];
        struct cmsghdr align;
    } * control;
};

struct plait_udp_inbox *plait_udp_inbox_new(unsigned messages)
{
    struct plait_udp_inbox *in = calloc(1, sizeof *in);

    if (in == NULL || messages == 0 || messages > INBOX_MESSAGES) {
        free(in);
        return NULL;
    }
    in->messages = messages;
    in->bytes = malloc((size_t)messages * MESSAGE_BYTES);
    in->headers = calloc(messages, sizeof *in->headers);
    in->parts = calloc(messages, sizeof *in->parts);
    in->ends = calloc(messages, sizeof *in->ends);
    in->packets = calloc((size_t)messages * PLAIT_UDP_RUN_MAX, sizeof *in->packets);
    in->control = calloc(messages, sizeof *in->control);
    if (in->bytes != NULL && in->headers != NULL && in->parts != NULL && in->ends != NULL &&
        in->packets != NULL && in->control != NULL)
        return in;
    plait_udp_inbox_free(in);
    return NULL;
}

void plait_udp_inbox_free(struct plait_udp_inbox *in)
{
    if (in == NULL)
        return;
    free(in->bytes);
    free(in->headers);
    free(in->parts);
    free(in->ends);
    free(in->packets);
    free(in->control);
    free(in);
}

static void ready(struct plait_udp_inbox *in)
{
    for (unsigned i = 0; i < in->messages; i++) {
        struct msghdr *m = &in->headers[i].msg_hdr;
        in->parts[i] = (struct iovec){in->bytes + (size_t)i * MESSAGE_BYTES, MESSAGE_BYTES};
        memset(m, 0, sizeof *m);
        m->msg_name = &in->ends[i].remote;
        m->msg_namelen = sizeof in->ends[i].remote;
        m->msg_iov = &in->parts[i];
        m->msg_iovlen = 1;
        m->msg_control = in->control[i].bytes;
        m->msg_controllen = CONTROL_BYTES;
    }
}

/* The own address that was asked, and the size of the datagrams, 0 where it is one. */
static uint32_t read_control(struct plait_udp *u, struct msghdr *m, struct plait_udp_end *end)
{
    uint32_t size = 0;

    memset(&end->local, 0, sizeof end->local);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            int segment;
            memcpy(&segment, CMSG_DATA(c), sizeof segment);
            size = segment > 0 ? (uint32_t)segment : 0;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            memcpy(&u->overflow_count, CMSG_DATA(c), sizeof u->overflow_count);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            end->local.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = info.ipi_spec_dst};
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            end->local.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = info.ipi6_addr};
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                end->local.v6.sin6_scope_id = (uint32_t)info.ipi6_ifindex;
        }
    }
    return size;
}

/* Cuts one message into its datagrams, from packets[count] on; returns the new count. */
static size_t take_message(struct plait_udp *u, struct plait_udp_inbox *in, unsigned i, size_t count)
{
    struct mmsghdr *h = &in->headers[i];
    uint32_t left = h->msg_len, size = read_control(u, &h->msg_hdr, &in->ends[i]);
    uint8_t *at = in->parts[i].iov_base;
    size_t max = count + PLAIT_UDP_RUN_MAX;

    if ((h->msg_hdr.msg_flags & MSG_TRUNC) != 0) {
        u->cut_count++;
        return count;
    }
    if (size == 0 || size > left)
        size = left;
    do {
        uint32_t len = left < size ? left : size;
        in->packets[count++] = (struct plait_udp_packet){at, len, &in->ends[i]};
        at += len;
        left -= len;
    } while (left > 0 && count < max);
    u->cut_count += left > 0;
    return count;
}

static bool is_passing(void)
{
    return errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED || errno == EHOSTUNREACH ||
           errno == ENETUNREACH || errno == ENETDOWN || errno == EMSGSIZE || errno == ENOBUFS ||
           errno == ENOMEM;
}

int plait_udp_recv(struct plait_udp *u, struct plait_udp_inbox *in, const struct plait_udp_packet **list)
{
    size_t count = 0;
    int got;

    ready(in);
    got = recvmmsg(u->fd, in->headers, in->messages, MSG_DONTWAIT, NULL);
    if (got < 0)
        return is_passing() ? 0 : PLAIT_ERR_IO;
    for (int i = 0; i < got; i++)
        count = take_message(u, in, (unsigned)i, count);
    *list = in->packets;
    return (int)count;
}
