/*
 * The question to the local network, "who holds this stream?" (doc/protocol.md): asked some times over each interface;
 * whoever answers with our nonce is a source that is tried.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask_lan.h"
#include "get_int.h"
#include "units.h"

#define QUESTIONS 3
#define AGAIN_NS  (300 * PLAIT_MS)
#define WAIT_NS   (1 * PLAIT_S) /* for answers, after the first question */
#define TURN_MAX  64            /* answers in one event */

struct get_lan_door {
    struct plait_get *g;
    struct plait_watch watch;
    int fd; /* −1 = none */
    int family;
};

struct get_lan {
    struct get_lan_door doors[2];
    struct plait_timer timer;
    struct plait_ask_lan_question question;
    unsigned asked;
    uint64_t since;
    bool over;
};

static void send_over(const struct get_lan_door *door, unsigned index, const uint8_t *bytes)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(PLAIT_ASK_LAN_PORT)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(PLAIT_ASK_LAN_PORT)};
    struct ip_mreqn over = {.imr_ifindex = (int)index};
    int index6 = (int)index;

    inet_pton(AF_INET, PLAIT_ASK_LAN_GROUP_V4, &v4.sin_addr);
    inet_pton(AF_INET6, PLAIT_ASK_LAN_GROUP_V6, &v6.sin6_addr);
    if (door->family == AF_INET) {
        if (setsockopt(door->fd, IPPROTO_IP, IP_MULTICAST_IF, &over, sizeof over) == 0)
            (void)sendto(door->fd, bytes, PLAIT_ASK_LAN_BYTES, 0, (struct sockaddr *)&v4, sizeof v4);
        return;
    }
    if (setsockopt(door->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index6, sizeof index6) == 0)
        (void)sendto(door->fd, bytes, PLAIT_ASK_LAN_BYTES, 0, (struct sockaddr *)&v6, sizeof v6);
}

/* Over each interface; where one cannot be asked, others may. */
static void ask(struct get_lan *l)
{
    uint8_t bytes[PLAIT_ASK_LAN_BYTES];
    struct if_nameindex *all = if_nameindex();

    if (plait_ask_lan_question_encode(&l->question, bytes) == PLAIT_OK)
        for (struct if_nameindex *i = all; i != NULL && i->if_index != 0; i++)
            for (size_t k = 0; k < PLAIT_COUNT(l->doors); k++)
                if (l->doors[k].fd >= 0)
                    send_over(&l->doors[k], i->if_index, bytes);
    if (all != NULL)
        if_freenameindex(all);
    l->asked++;
}

static void on_timer(void *ctx)
{
    struct plait_get *g = ctx;
    struct get_lan *l = g->lan;

    if (l->asked < QUESTIONS)
        ask(l);
    l->over = g->loop.now - l->since >= WAIT_NS;
    if (!l->over)
        plait_timer_set(&l->timer, l->asked < QUESTIONS ? g->loop.now + AGAIN_NS : l->since + WAIT_NS);
}

static void on_answer(struct plait_get *g, const uint8_t *bytes, size_t len)
{
    const struct get_lan *l = g->lan;
    struct plait_ask_lan_answer answer;
    struct plait_digest digest = {.alg = PLAIT_DIGEST_SHA256};

    if (plait_ask_lan_answer_decode(bytes, len, &answer) != PLAIT_OK ||
        memcmp(answer.nonce, l->question.nonce, sizeof answer.nonce) != 0)
        return;
    if (answer.has_sha256 && g->digest.alg == PLAIT_DIGEST_SHA256) {
        memcpy(digest.bytes, answer.sha256, sizeof answer.sha256);
        if (!plait_digest_equal(&digest, &g->digest))
            return;
    }
    if (g->stage <= STAGE_FETCH)
        get_director_source(g, answer.url, false, 0);
}

static void on_readable(void *ctx)
{
    struct get_lan_door *door = ctx;
    uint8_t bytes[PLAIT_ASK_LAN_BYTES];

    for (unsigned i = 0; i < TURN_MAX; i++) {
        ssize_t n = recv(door->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0)
            return;
        on_answer(door->g, bytes, (size_t)n);
    }
}

static bool open_door(struct plait_get *g, struct get_lan_door *door, int family)
{
    int one = 1;

    door->g = g;
    door->family = family;
    door->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (door->fd < 0)
        return false;
    if (family == AF_INET)
        (void)setsockopt(door->fd, IPPROTO_IP, IP_MULTICAST_TTL, &one, sizeof one);
    else
        (void)setsockopt(door->fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &one, sizeof one);
    if (plait_watch_init(&door->watch, &g->loop, door->fd, on_readable, door) == PLAIT_OK)
        return true;
    close(door->fd);
    door->fd = -1;
    return false;
}

void get_ask_lan(struct plait_get *g, const char *name)
{
    struct get_lan *l = calloc(1, sizeof *l);

    if (l == NULL || strlen(name) > PLAIT_ASK_LAN_NAME_MAX) {
        free(l);
        get_end(g, PLAIT_GET_USAGE, "%.100s cannot be asked for on the local network: the name is too long",
                name);
        return;
    }
    g->lan = l;
    l->since = g->loop.now;
    l->question.size = PLAIT_ASK_LAN_SIZE_UNKNOWN;
    l->question.has_sha256 = g->digest.alg == PLAIT_DIGEST_SHA256;
    if (l->question.has_sha256)
        memcpy(l->question.sha256, g->digest.bytes, sizeof l->question.sha256);
    memcpy(l->question.name, name, strlen(name) + 1);
    bool v4 = open_door(g, &l->doors[0], AF_INET), v6 = open_door(g, &l->doors[1], AF_INET6);
    plait_timer_init(&l->timer, &g->loop, on_timer, g);
    if ((v4 || v6) &&
        getrandom(l->question.nonce, sizeof l->question.nonce, 0) == (ssize_t)sizeof l->question.nonce)
        plait_timer_set(&l->timer, g->loop.now);
    else
        l->over = true;
}

bool get_lan_pending(const struct plait_get *g)
{
    return g->lan != NULL && !g->lan->over;
}

void get_close_lan(struct plait_get *g)
{
    for (size_t k = 0; g->lan != NULL && k < PLAIT_COUNT(g->lan->doors); k++) {
        if (g->lan->doors[k].fd < 0)
            continue;
        plait_watch_close(&g->lan->doors[k].watch);
        close(g->lan->doors[k].fd);
    }
    if (g->lan != NULL)
        plait_timer_close(&g->lan->timer);
}
