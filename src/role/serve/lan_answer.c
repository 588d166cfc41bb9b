#include "lan_answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask_lan.h"
#include "etag.h"
#include "iface.h"
#include "stream_name.h"
#include "units.h"

#define TURN_MAX 32  /* questions in one event */
#define SOURCES  256 /* a power of two; those that share a place share what it may have */
#define DOORS    2

struct door {
    struct plait_lan_answer *owner;
    struct plait_watch watch;
    int fd; /* owned; −1 = closed */
    int family;
};

struct plait_lan_answer {
    struct plait_lan_answer_options o;
    struct door doors[DOORS];
    uint64_t second;         /* the present one */
    unsigned total;          /* answers in it */
    uint8_t source[SOURCES]; /* of which to each */
};

/* Whether one more answer may go there. */
static bool take_turn(struct plait_lan_answer *a, const struct sockaddr_storage *to)
{
    uint64_t second = a->o.loop->now / PLAIT_S;
    uint64_t h = 0;
    const uint8_t *bytes = (const uint8_t *)&((const struct sockaddr_in *)(const void *)to)->sin_addr;
    size_t len = 4;

    if (to->ss_family == AF_INET6) {
        bytes = (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)to)->sin6_addr;
        len = 16;
    }
    for (size_t i = 0; i < len; i++)
        h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
    if (second != a->second) {
        a->second = second;
        a->total = 0;
        memset(a->source, 0, sizeof a->source);
    }
    uint8_t *of_source = &a->source[h >> 32 & (SOURCES - 1)];
    if (a->total >= PLAIT_LAN_ANSWERS_PER_S || *of_source >= PLAIT_LAN_ANSWERS_PER_SOURCE)
        return false;
    a->total++;
    ++*of_source;
    return true;
}

/* Where we are for whoever asks. */

/* The address of ours from which he is reached. */
static bool local_address(const struct sockaddr_storage *to, struct sockaddr_storage *own)
{
    socklen_t len = sizeof *own;
    int fd = socket(to->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found =
        fd >= 0 &&
        connect(fd, (const struct sockaddr *)to, plait_address_len((const struct sockaddr *)to)) == 0 &&
        getsockname(fd, (struct sockaddr *)own, &len) == 0;

    if (fd >= 0)
        close(fd);
    return found;
}

static bool is_any(const struct sockaddr_storage *s)
{
    if (s->ss_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)s)->sin_addr.s_addr == INADDR_ANY;
    return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)(const void *)s)->sin6_addr);
}

/* A port on which that address is listened on, or 0. */
static uint16_t port_at(const struct plait_lan_answer *a, const struct sockaddr_storage *own)
{
    char text[PLAIT_ADDRESS_TEXT_MAX], other[PLAIT_ADDRESS_TEXT_MAX];

    plait_address_text((const struct sockaddr *)own, text);
    for (size_t i = 0; i < a->o.endpoint_count; i++) {
        struct sockaddr_storage bound = {0};
        socklen_t len = sizeof bound;
        if (getsockname(a->o.endpoints[i].fd, (struct sockaddr *)&bound, &len) != 0 ||
            bound.ss_family != own->ss_family)
            continue;
        plait_address_text((const struct sockaddr *)&bound, other);
        if (is_any(&bound) || strcmp(text, other) == 0)
            return a->o.endpoints[i].port;
    }
    return 0;
}

/* What names are appended to. A link-local address is none that a URL can have. */
static bool make_base(const struct plait_lan_answer *a, const struct sockaddr_storage *to, char *out,
                      size_t size)
{
    char text[PLAIT_ADDRESS_TEXT_MAX];
    struct sockaddr_storage own = {0};

    if (a->o.url != NULL)
        return snprintf(out, size, "%s", a->o.url) < (int)size;
    if (!local_address(to, &own))
        return false;
    uint16_t port = port_at(a, &own);
    bool v6 = own.ss_family == AF_INET6;
    if (port == 0 ||
        (v6 && IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)&own)->sin6_addr)))
        return false;
    plait_address_text((const struct sockaddr *)&own, text);
    snprintf(out, size, "%s://%s%s%s:%u/", a->o.tls ? "https" : "http", v6 ? "[" : "", text, v6 ? "]" : "",
             port);
    return true;
}

/* Answers. */

static void add_tag(struct plait_ask_lan_answer *answer, const struct plait_contents_found *found)
{
    const struct stat st = {
        .st_ino = found->version.ino,
        .st_size = (off_t)found->version.size,
        .st_mtim = {found->version.mtime_ns / (int64_t)PLAIT_S, found->version.mtime_ns % (int64_t)PLAIT_S},
    };
    struct plait_version version;

    plait_version_of(&st, plait_unix_s() * (int64_t)PLAIT_S, &version);
    if (!found->writing && !version.weak)
        snprintf(answer->tag, sizeof answer->tag, "%s", version.etag);
}

static bool make_answer(struct plait_lan_answer *a, const struct plait_ask_lan_question *q,
                        const struct sockaddr_storage *from, struct plait_ask_lan_answer *answer)
{
    struct plait_contents_found found;
    char path[PLAIT_STREAM_PATH_MAX], base[512];

    if (!plait_contents_find(a->o.contents, q->name, q->has_sha256 ? q->sha256 : NULL, &found))
        return false;
    if (q->size != PLAIT_ASK_LAN_SIZE_UNKNOWN && (found.writing || found.version.size != q->size))
        return false;
    if (!make_base(a, from, base, sizeof base))
        return false;
    *answer =
        (struct plait_ask_lan_answer){.size = found.writing ? PLAIT_ASK_LAN_SIZE_UNKNOWN : found.version.size,
                                      .has_sha256 = found.has_sha256};
    memcpy(answer->nonce, q->nonce, sizeof answer->nonce);
    memcpy(answer->sha256, found.sha256, sizeof answer->sha256);
    add_tag(answer, &found);
    plait_stream_name_encode(found.name, path);
    const char *slash = base[strlen(base) - 1] == '/' ? "" : "/";
    return snprintf(answer->url, sizeof answer->url, "%s%s%s", base, slash, path) < (int)sizeof answer->url;
}

static void answer_one(struct plait_lan_answer *a, int fd, const uint8_t *bytes, size_t len,
                       const struct sockaddr_storage *from)
{
    struct plait_ask_lan_question question;
    struct plait_ask_lan_answer answer;
    uint8_t out[PLAIT_ASK_LAN_BYTES];
    size_t out_len;

    if (plait_ask_lan_question_decode(bytes, len, &question) != PLAIT_OK ||
        !make_answer(a, &question, from, &answer) ||
        plait_ask_lan_answer_encode(&answer, out, &out_len) != PLAIT_OK || !take_turn(a, from))
        return;
    (void)!sendto(fd, out, out_len, MSG_DONTWAIT, (const struct sockaddr *)from,
                  plait_address_len((const struct sockaddr *)from));
}

/* Whether it was sent to the group: nobody from further away can do that. */
static bool is_to_group(struct msghdr *m, int family)
{
    uint8_t group[16];

    if (inet_pton(family, family == AF_INET ? PLAIT_ASK_LAN_GROUP_V4 : PLAIT_ASK_LAN_GROUP_V6, group) != 1)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (family == AF_INET && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            return memcmp(&info.ipi_addr, group, sizeof info.ipi_addr) == 0;
        }
        if (family == AF_INET6 && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            return memcmp(&info.ipi6_addr, group, sizeof info.ipi6_addr) == 0;
        }
    }
    return false;
}

static void on_question(void *ctx)
{
    struct door *d = ctx;
    uint8_t bytes[PLAIT_ASK_LAN_BYTES + 1]; /* one that is longer is seen to be */
    _Alignas(struct cmsghdr) char control[256];

    for (int i = 0; i < TURN_MAX && d->fd >= 0; i++) {
        struct sockaddr_storage from = {0};
        struct iovec iov = {bytes, sizeof bytes};
        struct msghdr m = {.msg_name = &from,
                           .msg_namelen = sizeof from,
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        ssize_t n = recvmsg(d->fd, &m, MSG_DONTWAIT);
        if (n < 0)
            return;
        if (from.ss_family == d->family && is_to_group(&m, d->family))
            answer_one(d->owner, d->fd, bytes, (size_t)n, &from);
    }
}

/* Sockets. */

static void join(const struct door *d, unsigned index)
{
    struct ip_mreqn v4 = {.imr_ifindex = (int)index};
    struct ipv6_mreq v6 = {.ipv6mr_interface = index};

    /* Where it is joined already, or cannot be, nothing is to be done. */
    if (d->family == AF_INET && inet_pton(AF_INET, PLAIT_ASK_LAN_GROUP_V4, &v4.imr_multiaddr) == 1)
        (void)setsockopt(d->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &v4, sizeof v4);
    if (d->family == AF_INET6 && inet_pton(AF_INET6, PLAIT_ASK_LAN_GROUP_V6, &v6.ipv6mr_multiaddr) == 1)
        (void)setsockopt(d->fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &v6, sizeof v6);
}

void plait_lan_answer_refresh(struct plait_lan_answer *a)
{
    struct ifaddrs *list;

    if (a == NULL || getifaddrs(&list) != 0)
        return;
    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
        for (size_t k = 0; k < DOORS; k++)
            if (a->doors[k].fd >= 0 && i->ifa_addr != NULL && i->ifa_addr->sa_family == a->doors[k].family &&
                (i->ifa_flags & IFF_UP) != 0)
                join(&a->doors[k], if_nametoindex(i->ifa_name));
    freeifaddrs(list);
}

/* A socket that shares the port with other servers on this machine. −1 with errno. */
static int open_socket(int family)
{
    const int on = 1, off = 0;
    struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc;

    if (fd < 0)
        return -1;
    rc = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET) {
        ((struct sockaddr_in *)(void *)&any)->sin_port = htons(PLAIT_ASK_LAN_PORT);
        rc |= setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
        rc |= setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off);
    } else {
        ((struct sockaddr_in6 *)(void *)&any)->sin6_port = htons(PLAIT_ASK_LAN_PORT);
        rc |= setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        rc |= setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    }
    if (rc == 0 && bind(fd, (struct sockaddr *)&any, plait_address_len((const struct sockaddr *)&any)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int open_door(struct plait_lan_answer *a, struct door *d, int family)
{
    d->owner = a;
    d->family = family;
    d->fd = open_socket(family);
    if (d->fd < 0)
        return PLAIT_ERR_IO;
    int rc = plait_watch_init(&d->watch, a->o.loop, d->fd, on_question, d);
    if (rc != PLAIT_OK) {
        close(d->fd);
        d->fd = -1;
    }
    return rc;
}

int plait_lan_answer_new(struct plait_lan_answer **out, const struct plait_lan_answer_options *options)
{
    struct plait_lan_answer *a = calloc(1, sizeof *a);

    if (a == NULL)
        return PLAIT_ERR_NOMEM;
    a->o = *options;
    a->doors[1].fd = -1;
    int v4 = open_door(a, &a->doors[0], AF_INET);
    int error = errno;
    int v6 = open_door(a, &a->doors[1], AF_INET6);
    if (v4 != PLAIT_OK && v6 != PLAIT_OK) {
        free(a);
        errno = error;
        return PLAIT_ERR_IO;
    }
    plait_lan_answer_refresh(a);
    *out = a;
    return PLAIT_OK;
}

void plait_lan_answer_close(struct plait_lan_answer *a)
{
    for (size_t i = 0; a != NULL && i < DOORS; i++) {
        if (a->doors[i].fd < 0)
            continue;
        plait_watch_close(&a->doors[i].watch);
        close(a->doors[i].fd);
        a->doors[i].fd = -1;
    }
}

void plait_lan_answer_free(struct plait_lan_answer *a)
{
    free(a);
}
