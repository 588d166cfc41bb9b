/*
 * The packets lie in one arena, in the order in which they came. A write is a list of pieces of it; a piece that
 * begins where the last one of the same write ends only makes that longer, so that a flow that is alone has one.
 * The first piece begins with the virtio_net header and the packet's own headers, which are changed at the end.
 */
#include "coalesce.h"

#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "ip_parts.h"
#include "segment.h"

#define ARENA_BYTES   ((size_t)512 * 1024)
#define BUCKETS       256
#define NONE          UINT16_MAX
#define TCP_CHECKSUM  16
#define UDP_CHECKSUM  6
#define TCP_MERGEABLE (PLAIT_TCP_ACK | PLAIT_TCP_PSH | PLAIT_TCP_FIN | PLAIT_TCP_ECE)

struct piece {
    uint32_t at, len; /* in the arena */
    uint16_t next;    /* of the same write, or NONE */
};

struct write {
    struct plait_ip_parts inner; /* of the first packet */
    uint16_t first, last;        /* pieces */
    uint16_t pieces, packets;
    uint16_t size;    /* of the first packet's payload */
    uint32_t payload; /* of all packets */
    uint16_t next_in_bucket;
    bool open; /* another packet may follow */
    bool partial;
};

struct plait_coalesce {
    bool udp;
    uint64_t seed;
    uint8_t *arena; /* owned */
    size_t used;
    struct piece pieces[PLAIT_COALESCE_PACKETS_MAX];
    struct write writes[PLAIT_COALESCE_PACKETS_MAX];
    uint16_t piece_count, write_count, write_at;
    uint16_t buckets[BUCKETS];
    struct iovec parts[PLAIT_COALESCE_PARTS_MAX];
};

static void clear(struct plait_coalesce *c)
{
    c->used = 0;
    c->piece_count = c->write_count = c->write_at = 0;
    memset(c->buckets, 0xff, sizeof c->buckets);
}

struct plait_coalesce *plait_coalesce_new(bool udp, uint64_t seed)
{
    struct plait_coalesce *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->arena = malloc(ARENA_BYTES);
    if (c->arena == NULL) {
        free(c);
        return NULL;
    }
    c->udp = udp;
    c->seed = seed;
    clear(c);
    return c;
}

void plait_coalesce_free(struct plait_coalesce *c)
{
    if (c == NULL)
        return;
    free(c->arena);
    free(c);
}

/* Could it be part of a super-packet at all? */
static bool is_mergeable(const struct plait_coalesce *c, const uint8_t *b, const struct plait_ip_parts *p)
{
    const uint8_t *transport = b + p->transport;

    if (p->payload == 0 || p->payload == p->len || p->options || p->fragment)
        return false;
    if (!p->v6 &&
        ((b[6] & 0x80) != 0 || plait_checksum_fold(plait_checksum_add(0, b, p->transport)) != 0xffff))
        return false;
    if (p->protocol == PLAIT_IP_TCP)
        return (transport[13] & ~TCP_MERGEABLE) == 0 && (transport[13] & PLAIT_TCP_ACK) != 0 &&
               (transport[12] & 15) == 0;
    return c->udp && p->protocol == PLAIT_IP_UDP && plait_get_u16(transport + 6) != 0 &&
           plait_get_u16(transport + 4) == p->len - p->transport;
}

/* Addresses and ports: where they are in the packet. */
static size_t key_at(const struct plait_ip_parts *p)
{
    return p->v6 ? 8 : 12;
}

static size_t key_len(const struct plait_ip_parts *p)
{
    return (p->v6 ? 32 : 8) + 4;
}

static unsigned bucket_of(const struct plait_coalesce *c, const uint8_t *b, const struct plait_ip_parts *p)
{
    uint64_t h = c->seed ^ p->protocol;
    uint32_t word;

    for (size_t i = key_at(p); i < key_at(p) + key_len(p); i += sizeof word) {
        memcpy(&word, b + i, sizeof word);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    return (unsigned)(h % BUCKETS);
}

/* The first packet of the write, as it came. */
static uint8_t *head_of(struct plait_coalesce *c, const struct write *w)
{
    return c->arena + c->pieces[w->first].at + PLAIT_VNET_BYTES;
}

static bool is_same_flow(const uint8_t *a, const struct plait_ip_parts *p, const uint8_t *b,
                         const struct plait_ip_parts *q)
{
    return p->v6 == q->v6 && p->protocol == q->protocol &&
           memcmp(a + key_at(p), b + key_at(q), key_len(p)) == 0;
}

/* Of the bucket, the newest write of this flow; NULL where there is none, or it takes nothing more. */
static struct write *find_open(struct plait_coalesce *c, unsigned bucket, const uint8_t *b,
                               const struct plait_ip_parts *p)
{
    for (uint16_t i = c->buckets[bucket]; i != NONE; i = c->writes[i].next_in_bucket)
        if (is_same_flow(head_of(c, &c->writes[i]), &c->writes[i].inner, b, p))
            return c->writes[i].open ? &c->writes[i] : NULL;
    return NULL;
}

/* Everything of the IP header but lengths, checksums, addresses, and an identification that counts up or has no
 * meaning. */
static bool is_same_ip(const struct write *w, const uint8_t *head, const uint8_t *b)
{
    if (w->inner.v6)
        return memcmp(head, b, 4) == 0 && head[7] == b[7];
    if (head[0] != b[0] || head[1] != b[1] || head[8] != b[8] || memcmp(head + 6, b + 6, 2) != 0)
        return false;
    return (head[6] & 0x40) != 0 || (uint16_t)(plait_get_u16(head + 4) + w->packets) == plait_get_u16(b + 4);
}

static bool continues_tcp(const struct write *w, const uint8_t *head, const uint8_t *b,
                          const struct plait_ip_parts *p)
{
    const uint8_t *a = head + w->inner.transport, *t = b + p->transport;
    size_t len = (size_t)p->payload - p->transport;

    return plait_get_u32(a + 4) + w->payload == plait_get_u32(t + 4) && memcmp(a + 8, t + 8, 5) == 0 &&
           (a[13] & PLAIT_TCP_ECE) == (t[13] & PLAIT_TCP_ECE) && memcmp(a + 14, t + 14, 2) == 0 &&
           memcmp(a + 18, t + 18, len - 18) == 0;
}

static bool continues(const struct write *w, const uint8_t *head, const uint8_t *b,
                      const struct plait_ip_parts *p, bool partial)
{
    size_t len = (size_t)p->len - p->payload;

    if (w->partial != partial || p->payload != w->inner.payload || len > w->size ||
        w->payload + len + p->payload > PLAIT_IP_MAX || !is_same_ip(w, head, b))
        return false;
    if (p->protocol == PLAIT_IP_TCP)
        return w->packets < UINT16_MAX && continues_tcp(w, head, b, p);
    return w->packets < PLAIT_COALESCE_DATAGRAMS_MAX;
}

/* Copies the payload; does the checksum hold? */
static bool copy_payload(uint8_t *to, const uint8_t *b, const struct plait_ip_parts *p, bool partial)
{
    size_t len = (size_t)p->len - p->payload;
    uint64_t sum;

    if (partial) {
        memcpy(to, b + p->payload, len);
        return true;
    }
    sum = plait_checksum_pseudo(b, p->protocol, (uint32_t)p->len - p->transport);
    sum = plait_checksum_add(sum, b + p->transport, (size_t)p->payload - p->transport);
    return plait_checksum_fold(plait_checksum_copy(sum, to, b + p->payload, len)) == 0xffff;
}

/* What ends a super-packet, and comes back in its last segment. */
static bool is_last(const struct write *w, const uint8_t *b, const struct plait_ip_parts *p)
{
    return (size_t)(p->len - p->payload) < w->size ||
           (p->protocol == PLAIT_IP_TCP && (b[p->transport + 13] & (PLAIT_TCP_FIN | PLAIT_TCP_PSH)) != 0);
}

static bool room_for_piece(const struct plait_coalesce *c, const struct write *w)
{
    const struct piece *last = &c->pieces[w->last];

    return last->at + last->len == c->used || w->pieces < PLAIT_COALESCE_PARTS_MAX;
}

static void add_piece(struct plait_coalesce *c, struct write *w, size_t len)
{
    struct piece *last = &c->pieces[w->last];

    if (w->pieces > 0 && last->at + last->len == c->used) {
        last->len += (uint32_t)len;
    } else {
        c->pieces[c->piece_count] = (struct piece){(uint32_t)c->used, (uint32_t)len, NONE};
        if (w->pieces > 0)
            last->next = c->piece_count;
        else
            w->first = c->piece_count;
        w->last = c->piece_count++;
        w->pieces++;
    }
    c->used += len;
}

/* False where the packet has to begin a write of its own; the old one is closed then. */
static bool append(struct plait_coalesce *c, struct write *w, const uint8_t *b,
                   const struct plait_ip_parts *p, bool partial)
{
    uint8_t *head = head_of(c, w);

    if (!continues(w, head, b, p, partial) || !room_for_piece(c, w) ||
        !copy_payload(c->arena + c->used, b, p, partial)) {
        w->open = false;
        return false;
    }
    add_piece(c, w, (size_t)p->len - p->payload);
    w->payload += (uint32_t)(p->len - p->payload);
    w->packets++;
    if (p->protocol == PLAIT_IP_TCP)
        head[w->inner.transport + 13] |= b[p->transport + 13];
    w->open = !is_last(w, b, p);
    return true;
}

/* A write of this packet alone, so far. */
static struct write *begin(struct plait_coalesce *c, const uint8_t *b, const struct plait_ip_parts *p,
                           bool partial)
{
    struct write *w = &c->writes[c->write_count++];
    uint8_t *to = c->arena + c->used;
    bool mergeable = is_mergeable(c, b, p), good;

    *w = (struct write){.inner = *p, .packets = 1, .partial = partial, .next_in_bucket = NONE};
    memset(to, 0, PLAIT_VNET_BYTES);
    to += PLAIT_VNET_BYTES;
    if (mergeable) {
        memcpy(to, b, p->payload);
        good = copy_payload(to + p->payload, b, p, partial);
        w->size = (uint16_t)(p->len - p->payload);
        w->payload = w->size;
        w->open = good && !is_last(w, b, p);
    } else {
        memcpy(to, b, p->len);
    }
    add_piece(c, w, PLAIT_VNET_BYTES + (size_t)p->len);
    return w;
}

/* A packet of a flow, but not one to be put together: what follows must not be put before it. */
static bool has_flow(const struct plait_ip_parts *p)
{
    return p->payload != 0 && !p->options;
}

int plait_coalesce_add(struct plait_coalesce *c, const uint8_t *packet, size_t len, bool partial)
{
    struct plait_ip_parts p;
    struct write *w;
    unsigned bucket;

    if (plait_ip_parts_find(packet, len, &p) != PLAIT_OK || (partial && !has_flow(&p)))
        return PLAIT_ERR_FORMAT;
    if (c->write_at > 0 || c->piece_count == PLAIT_COALESCE_PACKETS_MAX ||
        c->used + PLAIT_VNET_BYTES + p.len > ARENA_BYTES)
        return PLAIT_ERR_LIMIT;
    if (!has_flow(&p)) {
        (void)begin(c, packet, &p, partial);
        return PLAIT_OK;
    }
    bucket = bucket_of(c, packet, &p);
    w = find_open(c, bucket, packet, &p);
    if (w != NULL && is_mergeable(c, packet, &p) && append(c, w, packet, &p, partial))
        return PLAIT_OK;
    w = begin(c, packet, &p, partial);
    w->next_in_bucket = c->buckets[bucket];
    c->buckets[bucket] = (uint16_t)(w - c->writes);
    return PLAIT_OK;
}

static void store_sum(uint8_t *at, uint64_t sum, bool complement)
{
    uint16_t folded = plait_checksum_fold(sum);

    if (complement)
        folded = (uint16_t)~folded;
    memcpy(at, &folded, sizeof folded);
}

/* Makes the IP and UDP headers those of the super-packet of `len` bytes. */
static void set_len(uint8_t *head, const struct plait_ip_parts *p, uint32_t len)
{
    if (p->v6) {
        plait_put_u16(head + 4, (uint16_t)(len - 40));
    } else {
        plait_put_u16(head + 2, (uint16_t)len);
        memset(head + 10, 0, 2);
        store_sum(head + 10, plait_checksum_add(0, head, p->transport), true);
    }
    if (p->protocol == PLAIT_IP_UDP)
        plait_put_u16(head + p->transport + 4, (uint16_t)(len - p->transport));
}

static void finish(struct plait_coalesce *c, const struct write *w)
{
    const struct plait_ip_parts *p = &w->inner;
    bool tcp = p->protocol == PLAIT_IP_TCP;
    uint8_t *head = head_of(c, w);
    struct plait_vnet v = {0};
    uint32_t len = p->len;

    if (w->packets > 1) {
        len = p->payload + w->payload;
        set_len(head, p, len);
        v.type = !tcp ? PLAIT_VNET_UDP : p->v6 ? PLAIT_VNET_TCP6 : PLAIT_VNET_TCP4;
        v.header_len = p->payload;
        v.segment_size = w->size;
    }
    if (w->packets > 1 || w->partial) {
        v.flags = PLAIT_VNET_NEEDS_CHECKSUM;
        v.checksum_start = p->transport;
        v.checksum_offset = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
        store_sum(head + p->transport + v.checksum_offset,
                  plait_checksum_pseudo(head, p->protocol, len - p->transport), false);
    }
    plait_vnet_write(head - PLAIT_VNET_BYTES, &v);
}

const struct iovec *plait_coalesce_next(struct plait_coalesce *c, size_t *count)
{
    const struct write *w = &c->writes[c->write_at];
    size_t n = 0;

    if (c->write_at == c->write_count) {
        clear(c);
        return NULL;
    }
    finish(c, w);
    for (uint16_t i = w->first; i != NONE; i = c->pieces[i].next)
        c->parts[n++] = (struct iovec){c->arena + c->pieces[i].at, c->pieces[i].len};
    c->write_at++;
    *count = n;
    return c->parts;
}
