/*
 * Inner traffic. A packet's first bytes are a true IP header, so that a bond can read it; the number of the flow
 * is its source or destination port. What the ends have to tell each other stands where TCP keeps its numbers.
 */
#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "sim_mem.h"
#include "sim_tcp.h"
#include "sim_tunnel_int.h"

#define PORT_BASE  20000
#define PROTO_TCP  6
#define PROTO_UDP  17
#define PROTO_ICMP 1
#define TCP_SYN    0x02
#define TCP_ACK    0x10
#define HEADERS    PLAIT_SIM_INNER_TCP_HEADERS
#define PACKET_MAX 1500
#define SYN_BYTES  60
#define PING_BYTES 84
#define UDP_BYTES  1000
#define UDP_PORT   5004
#define QUIC_BYTES 1228 /* of a packet that begins a connection (RFC 9000 section 14.1) */

static unsigned other(unsigned side)
{
    return 1 - side;
}

static bool is_tcp(const struct plait_sim_inner_run *r)
{
    return r->config->kind == PLAIT_SIM_INNER_CUBIC || r->config->kind == PLAIT_SIM_INNER_BBR;
}

/* ---- headers ---- */

static void write_ipv4(struct plait_writer *w, unsigned side, uint8_t protocol, size_t len)
{
    uint8_t *start = w->at;
    uint32_t sum = 0;

    plait_write_u16(w, 0x4500);
    plait_write_u16(w, (uint16_t)len);
    plait_write_u32(w, 0);
    plait_write_u16(w, (uint16_t)(64 << 8 | protocol));
    plait_write_u16(w, 0);
    plait_write_u32(w, 0x0a4d0000u | (side == PLAIT_SIM_NODE ? 0x0f01 : 1));
    plait_write_u32(w, 0x0a4d0000u | (side == PLAIT_SIM_NODE ? 1 : 0x0f01));
    for (unsigned i = 0; i < 20; i += 2)
        sum += (uint32_t)(start[i] << 8 | start[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    start[10] = (uint8_t)(~sum >> 8);
    start[11] = (uint8_t)~sum;
}

static void write_ipv6(struct plait_writer *w, unsigned side, uint8_t protocol, size_t len)
{
    plait_write_u32(w, 0x60000000u);
    plait_write_u16(w, (uint16_t)(len - 40));
    plait_write_u16(w, (uint16_t)(protocol << 8 | 64));
    plait_write_u64(w, 0xfd00000000000000u);
    plait_write_u64(w, side + 1);
    plait_write_u64(w, 0xfd00000000000000u);
    plait_write_u64(w, 2 - side);
}

static void begin(struct plait_writer *w, uint8_t *bytes, const struct plait_sim_inner_run *r, unsigned side,
                  uint8_t protocol, size_t len)
{
    memset(bytes, 0, len < 120 ? len : 120); /* what follows in a long packet is nobody's business */
    plait_writer_init(w, bytes, len);
    if (r->config->ipv6)
        write_ipv6(w, side, protocol, len);
    else
        write_ipv4(w, side, protocol, len);
    uint16_t mine = (uint16_t)(PORT_BASE + r->id), theirs = r->config->quic || is_tcp(r) ? 443 : UDP_PORT;

    if (protocol != PROTO_ICMP) {
        plait_write_u16(w, side == r->sender ? mine : theirs);
        plait_write_u16(w, side == r->sender ? theirs : mine);
    } else {
        plait_write_u16(w, side == r->sender ? 0x0800 : 0);
        plait_write_u16(w, mine);
    }
}

/* ---- TCP ---- */

static void send_tcp(struct plait_sim_inner_run *r, unsigned side, uint8_t flags, uint32_t id, size_t payload,
                     const struct plait_sim_ack *ack)
{
    uint8_t bytes[PACKET_MAX];
    size_t len = flags & TCP_SYN ? r->config->quic ? QUIC_BYTES : SYN_BYTES : HEADERS + payload;
    struct plait_writer w;

    begin(&w, bytes, r, side, r->config->quic ? PROTO_UDP : PROTO_TCP, len);
    if (r->config->quic)
        plait_write_u32(&w, (uint32_t)(len - 20) << 16); /* length and checksum */
    plait_write_u32(&w, id);
    plait_write_u32(&w, ack != NULL ? ack->next : 0);
    plait_write_u16(&w, (uint16_t)((flags & TCP_SYN ? 10 : 8) << 12 | flags));
    if (!r->config->quic)
        plait_write_bytes(&w, (const uint8_t[6]){0}, 6); /* window, checksum, urgent pointer */
    plait_write_u32(&w, ack != NULL ? ack->log : 0);
    plait_write_u64(&w, ack != NULL ? ack->limit : 0);
    plait_sim_tunnel_emit(r->tunnel, side, bytes, len);
}

static void arm_tcp(struct plait_sim_inner_run *r)
{
    uint64_t at = plait_min_u64(r->flow.deadline, r->flow.ack_at);

    if (!r->stopped)
        at = plait_min_u64(at, r->flow.pace_at);

    plait_sim_event_set(r->tunnel->events, &r->timer, at);
}

static void send_segments(struct plait_sim_inner_run *r, uint64_t now)
{
    struct plait_sim_segment s;

    while (!r->stopped && plait_sim_flow_next(&r->flow, now, &s)) {
        r->result.sent_packets++;
        send_tcp(r, r->sender, TCP_ACK, s.id, s.len, NULL);
    }
    plait_sim_flow_arm(&r->flow, now);
    arm_tcp(r);
}

static void send_ack(struct plait_sim_inner_run *r)
{
    struct plait_sim_ack ack;

    plait_sim_flow_take_ack(&r->flow, &ack);
    send_tcp(r, other(r->sender), TCP_ACK, 0, 0, &ack);
}

static void on_tcp_timer(struct plait_sim_inner_run *r, uint64_t now)
{
    if (!r->open) {
        r->syn_at = now;
        send_tcp(r, r->sender, TCP_SYN, 0, 0, NULL);
        plait_sim_event_set(r->tunnel->events, &r->timer, now + PLAIT_S);
        return;
    }
    if (r->flow.ack_at <= now)
        send_ack(r);
    if (r->flow.deadline <= now)
        plait_sim_flow_on_deadline(&r->flow, now);
    send_segments(r, now);
}

static void count_tcp(struct plait_sim_inner_run *r, uint64_t now, uint32_t id, uint64_t bytes)
{
    r->result.received_packets++;
    if ((int32_t)(id - r->tcp_high) >= 0)
        r->tcp_high = id + 1;
    else
        r->tunnel->result->overtaken++;
    if (bytes == 0)
        return;
    if (r->last_came > 0 && (double)(now - r->last_came) > r->result.silence_ms * 1e6)
        r->result.silence_ms = (double)(now - r->last_came) / 1e6;
    r->last_came = now;
    r->result.bytes += bytes;
    if (now >= r->half_at)
        r->half_bytes += bytes;
    if (r->config->bytes > 0 && r->flow.received >= (uint64_t)r->config->bytes && r->ended == 0) {
        r->ended = now;
        r->result.done_ms = (double)(now - r->started) / 1e6;
    }
}

static void deliver_tcp(struct plait_sim_inner_run *r, unsigned side, uint64_t now, struct plait_reader *in,
                        size_t len)
{
    if (r->config->quic)
        (void)plait_read_u32(in);
    uint32_t id = plait_read_u32(in);
    struct plait_sim_ack ack = {.next = plait_read_u32(in)};
    uint16_t flags = plait_read_u16(in);

    if (!r->config->quic)
        (void)plait_read_bytes(in, 6);
    ack.log = plait_read_u32(in);
    ack.limit = plait_read_u64(in);
    if (flags & TCP_SYN) {
        if (side != r->sender) {
            send_tcp(r, side, TCP_SYN | TCP_ACK, 0, 0, NULL);
        } else if (!r->open) {
            r->open = true;
            plait_sim_flow_rtt(&r->flow, now - r->syn_at);
            r->flow.bbr.min_rtt_ns = now - r->syn_at; /* as in Linux, the handshake's is the first */
            r->flow.bbr.min_rtt_at = now;
            send_segments(r, now);
        }
        return;
    }
    if (side == r->sender) {
        plait_sim_flow_on_ack(&r->flow, now, &ack);
        send_segments(r, now);
        return;
    }
    struct plait_sim_segment s = {.id = id, .len = (uint32_t)(len - HEADERS)};

    if ((int32_t)(id - r->flow.nxt) >= 0) {
        plait_sim_tunnel_fail(r->tunnel, "a segment came that was not sent");
        return;
    }
    uint64_t before = r->flow.received;

    plait_sim_flow_receive(&r->flow, now, &s);
    count_tcp(r, now, id, r->flow.received - before);
    if (r->flow.ack_at <= now)
        send_ack(r);
    arm_tcp(r);
}

static void begin_tcp(struct plait_sim_inner_run *r, uint64_t now)
{
    r->flow_config = plait_sim_tcp_defaults();
    r->flow_config.mss = 1500 - PLAIT_SIM_TUNNEL_HEADERS - PLAIT_DATAGRAM_DATA_BYTES - HEADERS;
    if (r->tunnel->row->untunnelled)
        r->flow_config.mss = 1500 - HEADERS;
    r->flow_config.cc = r->config->kind == PLAIT_SIM_INNER_BBR ? PLAIT_SIM_CC_BBR : PLAIT_SIM_CC_CUBIC;
    r->flow_config.eager = true;
    plait_sim_flow_init(&r->flow, &r->flow_config);
    plait_sim_flow_write(&r->flow, now, r->config->bytes > 0 ? (uint64_t)r->config->bytes : UINT64_MAX / 4);
}

/* ---- datagrams and pings ---- */

static uint64_t every_ns(const struct plait_sim_inner *c)
{
    if (c->every_ms > 0)
        return (uint64_t)(c->every_ms * 1e6);
    return (uint64_t)((c->size > 0 ? c->size : UDP_BYTES) * 8e3 / c->mbit);
}

static void send_datagram(struct plait_sim_inner_run *r, uint64_t now, unsigned side, uint32_t number,
                          uint64_t time)
{
    bool ping = r->config->kind == PLAIT_SIM_INNER_PING;
    uint8_t bytes[PACKET_MAX];
    size_t len = r->config->size > 0 ? r->config->size : ping ? PING_BYTES : UDP_BYTES;
    struct plait_writer w;

    begin(&w, bytes, r, side, ping ? PROTO_ICMP : PROTO_UDP, len);
    plait_write_u32(&w, 0);
    plait_write_u32(&w, number);
    plait_write_u64(&w, time);
    (void)now;
    plait_sim_tunnel_emit(r->tunnel, side, bytes, len);
}

static void on_datagram_timer(struct plait_sim_inner_run *r, uint64_t now)
{
    if (r->stopped)
        return;
    send_datagram(r, now, r->sender, r->sent_n++, now);
    r->result.sent_packets++;
    plait_sim_event_set(r->tunnel->events, &r->timer, now + every_ns(r->config));
}

static bool mark(struct plait_sim_inner_run *r, uint32_t number)
{
    if (number / 8 >= r->came_room) {
        uint32_t room = number / 4 + 1024;
        uint8_t *came = plait_sim_mem_new(room, 1);
        if (r->came != NULL)
            memcpy(came, r->came, r->came_room);
        free(r->came);
        r->came = came;
        r->came_room = room;
    }
    bool before = (r->came[number / 8] >> (number % 8) & 1) != 0;

    r->came[number / 8] |= (uint8_t)(1 << number % 8);
    return !before;
}

static void keep_rtt(struct plait_sim_inner_run *r, double ms)
{
    if (r->rtt_n == r->rtt_room) {
        uint32_t room = r->rtt_room > 0 ? 2 * r->rtt_room : 256;
        double *rtt = plait_sim_mem_new(room, sizeof(*rtt));
        if (r->rtt != NULL)
            memcpy(rtt, r->rtt, r->rtt_n * sizeof(*rtt));
        free(r->rtt);
        r->rtt = rtt;
        r->rtt_room = room;
    }
    r->rtt[r->rtt_n++] = ms;
}

/* What a socket holds whose reader needs a time for each. */
static void wait_for_reader(struct plait_sim_inner_run *r, uint64_t now)
{
    double taken = (double)(now - r->last_came) / PLAIT_SIM_READ_NS;

    r->waiting = (r->waiting > taken ? r->waiting - taken : 0) + 1;
    if (r->waiting > r->result.waiting_most)
        r->result.waiting_most = r->waiting;
}

static void deliver_datagram(struct plait_sim_inner_run *r, unsigned side, uint64_t now,
                             struct plait_reader *in, size_t len)
{
    (void)plait_read_u32(in);
    uint32_t number = plait_read_u32(in);
    uint64_t time = plait_read_u64(in);
    bool ping = r->config->kind == PLAIT_SIM_INNER_PING;

    if (number >= r->sent_n) {
        plait_sim_tunnel_fail(r->tunnel, "a datagram came that was not sent");
        return;
    }
    if (ping && side != r->sender) {
        send_datagram(r, now, side, number, time);
        return;
    }
    if (!mark(r, number)) {
        r->result.duplicates++;
        plait_sim_tunnel_fail(r->tunnel, "a packet came twice");
        return;
    }
    r->result.received_packets++;
    r->result.bytes += len;
    if (now >= r->half_at)
        r->half_bytes += len;
    if (number < r->high) {
        r->result.out_of_order++;
        r->tunnel->result->overtaken++;
    } else {
        r->high = number + 1;
    }
    if (r->last_came > 0 && (double)(now - r->last_came) > r->result.silence_ms * 1e6)
        r->result.silence_ms = (double)(now - r->last_came) / 1e6;
    wait_for_reader(r, now);
    r->last_came = now;
    keep_rtt(r, (double)(now - time) / 1e6);
}

/* ---- life ---- */

static void on_timer(void *ctx, uint64_t now)
{
    struct plait_sim_inner_run *r = ctx;

    if (is_tcp(r))
        on_tcp_timer(r, now);
    else
        on_datagram_timer(r, now);
    plait_sim_tunnel_flush(r->tunnel, PLAIT_SIM_NODE, now);
    plait_sim_tunnel_flush(r->tunnel, PLAIT_SIM_HUB, now);
}

static void on_stop(void *ctx, uint64_t now)
{
    struct plait_sim_inner_run *r = ctx;

    (void)now;
    r->stopped = true;
}

void plait_sim_inner_begin(struct plait_sim_tunnel *t, unsigned id)
{
    struct plait_sim_inner_run *r = &t->inner[id];
    uint64_t stop;

    r->config = &t->row->inner[id];
    r->tunnel = t;
    r->id = id;
    r->sender = r->config->up ? PLAIT_SIM_NODE : PLAIT_SIM_HUB;
    if (r->config->kind == PLAIT_SIM_INNER_PING)
        r->sender = PLAIT_SIM_NODE;
    r->started = t->events->now + (uint64_t)(r->config->start_ms * 1e6);
    stop = r->config->stop_ms > 0 ? t->events->now + (uint64_t)(r->config->stop_ms * 1e6) : t->now_end;
    r->half_at = (r->started + stop) / 2;
    if (t->row->late_ms > 0)
        r->half_at = r->started + (uint64_t)(t->row->late_ms * 1e6);
    plait_sim_event_init(&r->timer, on_timer, r);
    plait_sim_event_init(&r->stop, on_stop, r);
    plait_sim_event_set(t->events, &r->timer, r->started);
    plait_sim_event_set(t->events, &r->stop, stop);
    if (is_tcp(r))
        begin_tcp(r, r->started);
}

void plait_sim_inner_deliver(struct plait_sim_tunnel *t, unsigned side, uint64_t now, const uint8_t *bytes,
                             size_t len)
{
    bool ipv6 = len > 0 && bytes[0] >> 4 == 6;
    size_t header = ipv6 ? 40 : 20;
    struct plait_reader in;

    plait_reader_init(&in, bytes, len);
    (void)plait_read_bytes(&in, header);
    uint16_t from = plait_read_u16(&in), to = plait_read_u16(&in);
    uint8_t protocol = len > header ? bytes[ipv6 ? 6 : 9] : 0;
    uint16_t port = protocol == PROTO_ICMP || from < PORT_BASE ? to : from;
    unsigned id = (unsigned)port - PORT_BASE;

    if (id >= PLAIT_SIM_INNER_MAX || !t->row->inner[id].used) {
        plait_sim_tunnel_fail(t, "a packet of no flow came");
        return;
    }
    plait_sim_events_note(t->events, (uint64_t)side << 32 | (uint64_t)port << 16 | len);
    struct plait_sim_inner_run *r = &t->inner[id];

    if (is_tcp(r))
        deliver_tcp(r, side, now, &in, len);
    else
        deliver_datagram(r, side, now, &in, len);
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

void plait_sim_inner_done(struct plait_sim_tunnel *t, unsigned id)
{
    struct plait_sim_inner_run *r = &t->inner[id];
    struct plait_sim_inner_result *out = &r->result;
    uint64_t stop = r->config->stop_ms > 0 ? (uint64_t)(r->config->stop_ms * 1e6) + PLAIT_S : t->now_end;

    if (r->ended > 0)
        stop = r->ended;
    out->mbit = (double)out->bytes * 8e3 / (double)(stop - r->started);
    if (stop > r->half_at)
        out->mbit_late = (double)r->half_bytes * 8e3 / (double)(stop - r->half_at);
    if (r->rtt_n > 0) {
        qsort(r->rtt, r->rtt_n, sizeof(*r->rtt), by_size);
        out->rtt_ms_least = r->rtt[0];
        out->rtt_ms_median = r->rtt[r->rtt_n / 2];
        out->rtt_ms_p95 = r->rtt[r->rtt_n * 95 / 100];
        out->rtt_ms_most = r->rtt[r->rtt_n - 1];
    }
    if (is_tcp(r)) {
        out->rtt_ms_least = (double)r->flow.min_rtt / 1e6;
        out->rtt_ms_median = (double)r->flow.srtt / 1e6;
        out->resent = r->flow.segments_resent;
        out->timeouts = r->flow.timeouts;
        out->recoveries = r->flow.recoveries;
        plait_sim_flow_done(&r->flow);
    }
    free(r->came);
    free(r->rtt);
    t->result->inner[id] = *out;
}
