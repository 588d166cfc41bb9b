/*
 * A tunnel of nothing but its I/O: TUN device, segments, UDP_SEGMENT; UDP_GRO, coalescing, TUN device. No keys, no
 * order, no pacing, one path: what a tunnel can reach at most, and a way to look at each part of it.
 *
 * tunnel_io NAME ADDRESS/BITS MTU OWN-ADDRESS:PORT PEER-ADDRESS:PORT [OPTION]...
 *   interface=NAME   the UDP socket leaves there
 *   partial          checksums are left to the other end's kernel
 *   tun-plain        the TUN device without offloads
 *   udp-plain        without UDP_SEGMENT and UDP_GRO
 *   no-coalesce      every packet is written by itself
 *   frames=N         TUN frames read before what they make is sent (default 4)
 *   inbox=N          messages taken by one recvmmsg (default 8)
 *
 * Prints {"ready": …} when it carries, and one line of counters when it is told to end (SIGTERM, SIGINT).
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coalesce.h"
#include "config.h"
#include "segment.h"
#include "tun.h"
#include "udp.h"

#define HEAD      32 /* about what the tunnel puts before an inner packet */
#define TAIL      16
#define BATCH_MAX 1024
#define ROOM      (HEAD + 2048 + TAIL)

struct carrier {
    struct plait_tun tun;
    struct plait_udp udp;
    struct plait_udp_end peer;
    struct plait_udp_inbox *inbox;
    struct plait_coalesce *coalesce;
    struct plait_udp_packet batch[BATCH_MAX];
    uint8_t (*buffers)[ROOM];
    uint8_t *frame;
    size_t used, frames_max;
    unsigned inbox_max;
    bool partial, merge;
    uint64_t frames, packets_out, bytes_out, packets_in, writes, dropped;
};

static volatile sig_atomic_t ended;

static void on_signal(int signum)
{
    (void)signum;
    ended = 1;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void send_batch(struct carrier *c)
{
    size_t at = 0, sent;

    while (at < c->used) {
        enum plait_udp_trouble trouble = plait_udp_send(&c->udp, c->batch + at, c->used - at, &sent);
        at += sent;
        if (trouble == PLAIT_UDP_FULL) {
            struct pollfd p = {.fd = c->udp.fd, .events = POLLOUT};
            poll(&p, 1, 100);
        } else if (trouble != PLAIT_UDP_OK && trouble != PLAIT_UDP_REFUSED) {
            at++;
            c->dropped++;
        }
    }
    c->used = 0;
}

static void take_frame(struct carrier *c, size_t len)
{
    struct plait_segment s;
    int packets = plait_segment_init(&s, c->frame, len, c->partial);

    c->frames++;
    while (packets-- > 0) {
        uint8_t *buffer = c->buffers[c->used];
        int got = plait_segment_next(&s, buffer + HEAD, ROOM - HEAD - TAIL);
        if (got <= 0)
            continue;
        memset(buffer, 0, HEAD);
        buffer[0] = plait_segment_is_partial(&s);
        c->batch[c->used++] = (struct plait_udp_packet){buffer, (uint32_t)got + HEAD + TAIL, &c->peer};
        c->packets_out++;
        c->bytes_out += (unsigned)got;
        if (c->used == BATCH_MAX)
            send_batch(c);
    }
}

static bool from_tun(struct carrier *c)
{
    size_t n;
    int len = 0;

    for (n = 0; n < c->frames_max && (len = plait_tun_read(&c->tun, c->frame, PLAIT_TUN_FRAME_MAX)) > 0; n++)
        take_frame(c, (size_t)len);
    if (len < 0)
        die("tun");
    send_batch(c);
    return n > 0;
}

static void flush(struct carrier *c)
{
    const struct iovec *parts;
    size_t count;

    while ((parts = plait_coalesce_next(c->coalesce, &count)) != NULL) {
        c->writes++;
        if (plait_tun_write(&c->tun, parts, count) != PLAIT_OK)
            c->dropped++;
    }
}

static void deliver(struct carrier *c, const struct plait_udp_packet *p)
{
    const uint8_t *inner = p->data + HEAD;
    size_t len = p->len - HEAD - TAIL;

    if (plait_coalesce_add(c->coalesce, inner, len, p->data[0] != 0) == PLAIT_ERR_LIMIT) {
        flush(c);
        if (plait_coalesce_add(c->coalesce, inner, len, p->data[0] != 0) != PLAIT_OK)
            c->dropped++;
    }
    if (!c->merge)
        flush(c);
}

static bool from_udp(struct carrier *c)
{
    const struct plait_udp_packet *list;
    int count = plait_udp_recv(&c->udp, c->inbox, &list);

    if (count < 0)
        die("recv");
    for (int i = 0; i < count; i++) {
        c->packets_in++;
        if (list[i].len > HEAD + TAIL)
            deliver(c, &list[i]);
        else
            c->dropped++;
    }
    flush(c);
    return count > 0;
}

static void carry(struct carrier *c)
{
    struct pollfd fds[2] = {{.fd = c->tun.fd, .events = POLLIN}, {.fd = c->udp.fd, .events = POLLIN}};

    while (!ended) {
        bool some = from_tun(c);
        some = from_udp(c) || some;
        if (!some && poll(fds, 2, 1000) < 0 && !ended)
            die("poll");
    }
}

static union plait_udp_address address_of(const char *text)
{
    struct plait_config_endpoint e;
    union plait_udp_address a;

    if (plait_config_parse_endpoint(text, 0, &e) != PLAIT_OK ||
        plait_udp_address_parse(e.host, e.port, &a) != PLAIT_OK)
        exit(2);
    return a;
}

static void read_option(struct carrier *c, struct plait_tun_options *tun, struct plait_udp_options *udp,
                        const char *option)
{
    if (strncmp(option, "interface=", 10) == 0)
        udp->interface = option + 10;
    else if (strcmp(option, "partial") == 0)
        c->partial = true;
    else if (strcmp(option, "tun-plain") == 0)
        tun->plain = true;
    else if (strcmp(option, "udp-plain") == 0)
        udp->plain = true;
    else if (strcmp(option, "no-coalesce") == 0)
        c->merge = false;
    else if (strncmp(option, "frames=", 7) == 0)
        c->frames_max = (size_t)atoi(option + 7);
    else if (strncmp(option, "inbox=", 6) == 0)
        c->inbox_max = (unsigned)atoi(option + 6);
    else
        exit(2);
}

static void open_all(struct carrier *c, char **argv, int argc)
{
    struct plait_tun_options tun = {.name = argv[1]};
    struct plait_udp_options udp = {.local = address_of(argv[4])};
    char address[64];
    struct plait_prefix net;

    for (int i = 6; i < argc; i++)
        read_option(c, &tun, &udp, argv[i]);
    c->peer.remote = address_of(argv[5]);
    snprintf(address, sizeof address, "%s", argv[2]);
    if (plait_tun_open(&c->tun, &tun) != PLAIT_OK)
        die("tun");
    char *slash = strchr(address, '/');
    if (slash == NULL)
        exit(2);
    *slash = '\0';
    if (plait_config_parse_prefix(address, &net) != PLAIT_OK)
        exit(2);
    net.bits = (unsigned)atoi(slash + 1);
    if (plait_tun_set(&c->tun, (unsigned)atoi(argv[3]), &net, 1) != PLAIT_OK)
        die("tun address");
    if (plait_udp_open(&c->udp, &udp) != PLAIT_OK)
        die("udp");
    c->inbox = plait_udp_inbox_new(c->inbox_max);
    c->coalesce = plait_coalesce_new(c->tun.uso, 1);
    c->buffers = calloc(BATCH_MAX, sizeof *c->buffers);
    c->frame = malloc(PLAIT_TUN_FRAME_MAX);
    if (c->inbox == NULL || c->coalesce == NULL || c->buffers == NULL || c->frame == NULL)
        die("memory");
}

int main(int argc, char **argv)
{
    static struct carrier c = {.merge = true, .frames_max = 4, .inbox_max = 8};
    const struct sigaction action = {.sa_handler = on_signal};

    if (argc < 6) {
        fprintf(stderr, "usage: %s NAME ADDRESS/BITS MTU OWN-ADDRESS:PORT PEER-ADDRESS:PORT [OPTION]...\n",
                argv[0]);
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    open_all(&c, argv, argc);
    printf("{\"ready\": \"%s\", \"uso\": %s, \"segments\": %s}\n", c.tun.name, c.tun.uso ? "true" : "false",
           c.udp.segments ? "true" : "false");
    fflush(stdout);
    carry(&c);
    printf("{\"frames\": %llu, \"packets_out\": %llu, \"bytes_out\": %llu, \"packets_in\": %llu, \"writes\": "
           "%llu, "
           "\"dropped\": %llu}\n",
           (unsigned long long)c.frames, (unsigned long long)c.packets_out, (unsigned long long)c.bytes_out,
           (unsigned long long)c.packets_in, (unsigned long long)c.writes, (unsigned long long)c.dropped);
    plait_tun_close(&c.tun);
    plait_udp_close(&c.udp);
    plait_udp_inbox_free(c.inbox);
    plait_coalesce_free(c.coalesce);
    free(c.buffers);
    free(c.frame);
    return 0;
}
