/*
 * A crowd for a hub, for benchmarks.
 *
 *   tunnel_crowd keys N                             N pairs of keys, secret and public, a line each
 *   tunnel_crowd idle HUB PORT HUB-KEY SECRETS      a node for each line of the file: logs on, and stays
 *   tunnel_crowd flood HUB PORT HUB-KEY FIRST N     handshakes of unknown keys, from N addresses (which the machine must
 *                                                   have: ip route add local), as fast as they go
 *
 * The nodes share a thread and a pool; each has a socket. They use whatever port they are given first.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "agenda.h"
#include "hello.h"
#include "peer.h"
#include "self.h"

#define NODES_MAX   10000
#define ROOM        1500u
#define FLOOD_KINDS 256u

struct member {
    struct plait_agenda_entry due; /* first */
    struct plait_session *session;
    struct plait_peer peer;
    int fd;
};

static struct plait_crypto *crypto;
static struct plait_pool pool;
static struct plait_agenda agenda;
static struct member *members;
static struct plait_identity *identities;
static struct plait_key hub_key;
static size_t member_count;

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * PLAIT_S + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void make_identity(struct plait_identity *out)
{
    struct plait_key secret;

    plait_random_fill(&plait_kernel_random, secret.bytes, sizeof secret.bytes);
    plait_key_clamp(&secret);
    if (plait_identity_init(out, &secret) != PLAIT_OK)
        die("a key");
}

static int print_keys(int count)
{
    char secret[PLAIT_KEY_TEXT + 1], public[PLAIT_KEY_TEXT + 1];
    struct plait_identity id;

    for (int i = 0; i < count; i++) {
        make_identity(&id);
        plait_key_format(&id.secret, secret);
        plait_key_format(&id.public, public);
        printf("%s %s\n", secret, public);
    }
    return 0;
}

static struct sockaddr_in hub_at(char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};

    if (inet_pton(AF_INET, argv[2], &a.sin_addr) != 1 ||
        plait_key_parse(argv[4], strlen(argv[4]), &hub_key) != PLAIT_OK)
        die("the hub's address or key");
    return a;
}

static struct plait_session *make_session(const struct plait_identity *self)
{
    struct plait_session_config c = {
        .crypto = crypto, .random = plait_kernel_random, .self = self, .instance = 1};
    struct plait_hello hello = {.path_count = 1};
    uint8_t bytes[PLAIT_HELLO_BYTES_MAX];

    c.speeds.mb_per_s[PLAIT_AEAD_CHACHA20_POLY1305] = 1000;
    c.speeds.mb_per_s[PLAIT_AEAD_AES_128_GCM] = 1000;
    struct plait_session *s = plait_session_new_initiator(&c, &hub_key, clock_ns(), plait_self_wall());
    int len = plait_hello_encode(&hello, bytes, sizeof bytes);
    if (s == NULL || len < 0 || plait_session_set_hello(s, bytes, (size_t)len) != PLAIT_OK)
        die("a session");
    plait_session_set_paths(s, clock_ns(), 1);
    return s;
}

/* Idle nodes. */

static void deliver(void *ctx, uint64_t now, const uint8_t *bytes, size_t len)
{
    (void)ctx;
    (void)now;
    (void)bytes;
    (void)len;
}

static void start_member(struct member *m, const struct plait_identity *self, const struct sockaddr_in *hub,
                         int epoll)
{
    struct plait_bond_config bond = {.pool = &pool, .deliver = deliver, .seed = clock_ns()};
    static const struct plait_bond_path_config path;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = m};

    m->due.at = PLAIT_NEVER;
    m->session = make_session(self);
    m->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (m->fd < 0 || connect(m->fd, (const struct sockaddr *)hub, sizeof *hub) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, m->fd, &event) != 0)
        die("a socket");
    if (plait_peer_init(&m->peer, m->session, &bond) != PLAIT_OK ||
        plait_peer_path_set(&m->peer, clock_ns(), 0, &path) != PLAIT_OK)
        die("a bond");
}

static void pump(struct member *m, uint64_t now)
{
    uint8_t out[ROOM + PLAIT_PEER_OVERHEAD], path;
    size_t len;

    while ((len = plait_peer_poll_send(&m->peer, now, &path, out, sizeof out)) > 0)
        if (send(m->fd, out, len, 0) < 0)
            break; /* lost, as on any path */
    plait_agenda_set(&agenda, &m->due, plait_peer_next_deadline(&m->peer, now));
}

static void receive(struct member *m, uint64_t now)
{
    uint8_t bytes[2048];
    struct plait_peer_news news;
    ssize_t len;

    while ((len = recv(m->fd, bytes, sizeof bytes, 0)) > 0)
        if (plait_peer_recv(&m->peer, now, 0, bytes, (size_t)len, &news) != PLAIT_OK)
            continue;
    pump(m, now);
}

static void read_secrets(const char *path)
{
    char line[256];
    FILE *f = fopen(path, "r");

    if (f == NULL)
        die(path);
    for (member_count = 0; member_count < NODES_MAX && fgets(line, sizeof line, f) != NULL; member_count++) {
        struct plait_key secret;
        if (plait_key_parse(line, strcspn(line, "\n"), &secret) != PLAIT_OK ||
            plait_identity_init(&identities[member_count], &secret) != PLAIT_OK)
            die(path);
    }
    fclose(f);
}

static void on_due(uint64_t now)
{
    struct plait_agenda_entry *e;

    while ((e = plait_agenda_first(&agenda)) != NULL && e->at <= now) {
        struct member *m = (struct member *)(void *)e;
        plait_peer_on_deadline(&m->peer, now);
        plait_agenda_set(&agenda, e, PLAIT_NEVER);
        pump(m, now);
        if (e->at <= now)
            plait_agenda_set(&agenda, e, now + PLAIT_MS);
    }
}

static _Noreturn void idle(char **argv)
{
    struct sockaddr_in hub = hub_at(argv);
    int epoll = epoll_create1(0);
    struct epoll_event events[64];

    members = calloc(NODES_MAX, sizeof *members);
    identities = calloc(NODES_MAX, sizeof *identities);
    if (members == NULL || identities == NULL || plait_pool_init(&pool, 4096, ROOM) != PLAIT_OK ||
        plait_agenda_init(&agenda, NODES_MAX) != PLAIT_OK || epoll < 0)
        die("memory");
    read_secrets(argv[5]);
    for (size_t i = 0; i < member_count; i++) {
        start_member(&members[i], &identities[i], &hub, epoll);
        plait_agenda_set(&agenda, &members[i].due, clock_ns() + i * PLAIT_MS); /* not all at once */
    }
    for (;;) {
        struct plait_agenda_entry *first = plait_agenda_first(&agenda);
        uint64_t wait = first != NULL ? plait_since(first->at, clock_ns()) / PLAIT_MS + 1 : 1000;
        int n = epoll_wait(epoll, events, 64, (int)plait_min_u64(wait, 1000));
        for (int i = 0; i < n; i++)
            receive(events[i].data.ptr, clock_ns());
        on_due(clock_ns());
    }
}

/* The flood. */

static void send_from(int fd, const struct sockaddr_in *hub, uint32_t from, const uint8_t *bytes, size_t len)
{
    union {
        char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct sockaddr_in to = *hub;
    struct msghdr message = {.msg_name = &to,
                             .msg_namelen = sizeof to,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(from)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    if (sendmsg(fd, &message, 0) < 0)
        usleep(1000); /* the queue is full: that is fast enough */
}

static _Noreturn void flood(char **argv)
{
    static uint8_t letters[FLOOD_KINDS][PLAIT_HANDSHAKE_BYTES_MAX];
    static size_t lens[FLOOD_KINDS];
    static struct plait_identity ids[FLOOD_KINDS];
    struct sockaddr_in hub = hub_at(argv);
    uint32_t first = ntohl(inet_addr(argv[5])), count = (uint32_t)atoi(argv[6]);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    uint8_t path;

    for (size_t i = 0; i < FLOOD_KINDS; i++) {
        make_identity(&ids[i]);
        struct plait_session *s = make_session(&ids[i]);
        plait_session_on_deadline(s, clock_ns());
        lens[i] = plait_session_poll_send(s, clock_ns(), &path, letters[i]);
        if (lens[i] == 0)
            die("a handshake");
    }
    for (uint32_t i = 0;; i++)
        send_from(fd, &hub, first + 1 + i % count, letters[i % FLOOD_KINDS], lens[i % FLOOD_KINDS]);
}

int main(int argc, char **argv)
{
    crypto = plait_crypto_new();
    if (crypto == NULL)
        die("OpenSSL");
    if (argc == 3 && strcmp(argv[1], "keys") == 0)
        return print_keys(atoi(argv[2]));
    if (argc == 6 && strcmp(argv[1], "idle") == 0)
        idle(argv);
    if (argc == 7 && strcmp(argv[1], "flood") == 0)
        flood(argv);
    fprintf(stderr, "usage: %s keys N | idle HUB PORT HUB-KEY SECRETS | flood HUB PORT HUB-KEY FIRST N\n",
            argv[0]);
    return 2;
}
