#include "lookup.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "udp.h"
#include "units.h"

#define QUERY_MAX    512
#define ANSWER_MAX   4096
#define WAIT_MS      1500 /* for one resolver */
#define BUFFER_BYTES 65536u
#define ID_AT        0

static void set_address(struct sockaddr_storage *out, int family, const uint8_t *bytes)
{
    memset(out, 0, sizeof *out);
    out->ss_family = (sa_family_t)family;
    if (family == AF_INET)
        memcpy(&((struct sockaddr_in *)(void *)out)->sin_addr, bytes, 4);
    else
        memcpy(&((struct sockaddr_in6 *)(void *)out)->sin6_addr, bytes, 16);
}

int plait_lookup_read(const uint8_t *message, size_t len, uint16_t id, int family,
                      struct sockaddr_storage *out)
{
    const ns_type type = family == AF_INET ? ns_t_a : ns_t_aaaa;
    const size_t size = family == AF_INET ? 4 : 16;
    ns_msg m;
    ns_rr rr;

    if (len > ANSWER_MAX || ns_initparse(message, (int)len, &m) != 0 || ns_msg_id(m) != id ||
        ns_msg_getflag(m, ns_f_qr) == 0 || ns_msg_count(m, ns_s_qd) != 1 ||
        ns_parserr(&m, ns_s_qd, 0, &rr) != 0 || ns_rr_type(rr) != type)
        return PLAIT_ERR_FORMAT;
    int code = ns_msg_getflag(m, ns_f_rcode);
    if (code != ns_r_noerror && code != ns_r_nxdomain)
        return PLAIT_ERR_IO;
    for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
        if (ns_parserr(&m, ns_s_an, i, &rr) != 0)
            return PLAIT_ERR_FORMAT;
        if (ns_rr_type(rr) == type && ns_rr_class(rr) == ns_c_in && ns_rr_rdlen(rr) == size) {
            set_address(out, family, ns_rr_rdata(rr));
            return PLAIT_OK;
        }
    }
    return PLAIT_ERR_NOTFOUND;
}

/* Its number, which is to be no easy guess. */
static uint16_t number(uint8_t *query)
{
    uint16_t id = 0;

    if (getrandom(&id, sizeof id, 0) != sizeof id)
        id = 1;
    query[ID_AT] = (uint8_t)(id >> 8);
    query[ID_AT + 1] = (uint8_t)id;
    return id;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until an answer to it is there; others are somebody's noise. */
static int await(int fd, uint16_t id, int family, struct sockaddr_storage *out)
{
    uint8_t answer[ANSWER_MAX];
    int64_t until = now_ms() + WAIT_MS, left;

    while ((left = until - now_ms()) > 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, (int)left);
        if (ready < 0 && errno == EINTR)
            continue;
        ssize_t len = ready > 0 ? recv(fd, answer, sizeof answer, 0) : -1;
        if (len < 0 && ready > 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (len < 0)
            return PLAIT_ERR_IO;
        int err = plait_lookup_read(answer, (size_t)len, id, family, out);
        if (err != PLAIT_ERR_FORMAT)
            return err;
    }
    return PLAIT_ERR_IO;
}

static int ask(const struct plait_lookup *l, res_state state, const union plait_udp_address *server,
               int family, struct sockaddr_storage *out)
{
    struct plait_udp_options options = {.interface = l->interface[0] != '\0' ? l->interface : NULL,
                                        .remote = server,
                                        .mark = l->mark,
                                        .buffer_bytes = BUFFER_BYTES,
                                        .plain = true};
    uint8_t query[QUERY_MAX];
    struct plait_udp u;
    int len = res_nmkquery(state, ns_o_query, l->host, ns_c_in, family == AF_INET ? ns_t_a : ns_t_aaaa, NULL,
                           0, NULL, query, sizeof query);

    if (len < 0)
        return PLAIT_ERR_NOTFOUND; /* no name that can be asked for */
    uint16_t id = number(query);
    options.local.any.sa_family = server->any.sa_family;
    int err = plait_udp_open(&u, &options);
    if (err != PLAIT_OK)
        return err == PLAIT_ERR_NOTFOUND ? PLAIT_ERR_IO : err;
    err = send(u.fd, query, (size_t)len, 0) == len ? await(u.fd, id, family, out) : PLAIT_ERR_IO;
    plait_udp_close(&u);
    return err;
}

/* One on this machine asks others in turn, by sockets that are not ours. */
static bool is_elsewhere(const union plait_udp_address *a)
{
    if (a->any.sa_family == AF_INET)
        return ntohl(a->v4.sin_addr.s_addr) >> 24 != 127;
    return a->any.sa_family == AF_INET6 && !IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

static union plait_udp_address server_at(const struct __res_state *state, int i)
{
    union plait_udp_address a;

    memset(&a, 0, sizeof a);
    if (state->nsaddr_list[i].sin_family == AF_INET)
        a.v4 = state->nsaddr_list[i];
    else if (state->_u._ext.nsaddrs[i] != NULL)
        a.v6 = *state->_u._ext.nsaddrs[i];
    return a;
}

static int ask_all(const struct plait_lookup *l, res_state state, struct sockaddr_storage *out)
{
    static const int families[] = {AF_INET, AF_INET6};
    int err = PLAIT_ERR_IO;

    for (int i = 0; i < state->nscount && i < MAXNS; i++) {
        union plait_udp_address server = server_at(state, i);
        for (size_t k = 0; is_elsewhere(&server) && k < PLAIT_COUNT(families); k++) {
            if (l->family != AF_UNSPEC && l->family != families[k])
                continue;
            err = ask(l, state, &server, families[k], out);
            if (err == PLAIT_OK)
                return err;
            if (err == PLAIT_ERR_IO)
                break; /* the next resolver */
        }
        if (err == PLAIT_ERR_NOTFOUND)
            return err;
    }
    return err;
}

int plait_lookup_run(const struct plait_lookup *l, struct sockaddr_storage *out)
{
    struct __res_state state;

    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0)
        return PLAIT_ERR_IO;
    int err = ask_all(l, &state, out);
    res_nclose(&state);
    return err;
}
