/*
 * The way there and back: packets put together and taken apart again have to be the same packets, each flow's in its
 * order. The including file defines TRIP_CHECK(condition).
 */
#ifndef PLAIT_TEST_OFFLOAD_TRIP_H
#define PLAIT_TEST_OFFLOAD_TRIP_H

#include <stdlib.h>

#include "coalesce.h"
#include "offload_kit.h"
#include "segment.h"

#define TRIP_MAX 600

struct trip_packet {
    uint8_t *bytes; /* owned */
    size_t len;
    bool partial, back;
};

struct trip {
    struct trip_packet packets[TRIP_MAX];
    size_t count, writes;
};

static inline void trip_add(struct trip *t, const uint8_t *bytes, size_t len, bool partial)
{
    struct trip_packet *p = &t->packets[t->count++];

    *p = (struct trip_packet){malloc(len > 0 ? len : 1), len, partial, false};
    TRIP_CHECK(p->bytes != NULL);
    memcpy(p->bytes, bytes, len);
}

/* The whole is compared where no ports are found. */
static inline bool trip_same_flow(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    struct plait_ip_parts p, q;

    if (plait_ip_parts_find(a, a_len, &p) != PLAIT_OK || plait_ip_parts_find(b, b_len, &q) != PLAIT_OK ||
        p.v6 != q.v6 || p.protocol != q.protocol || p.options != q.options ||
        (p.payload != 0) != (q.payload != 0))
        return false;
    if (p.payload == 0 || p.options)
        return p.len == q.len && memcmp(a, b, p.len) == 0;
    return memcmp(a + (p.v6 ? 8 : 12), b + (p.v6 ? 8 : 12), p.v6 ? 36 : 12) == 0;
}

static inline bool trip_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    static uint8_t x[65536], y[65536];

    if (memcmp(a, b, len) == 0)
        return true;
    if (len < 20 || a[0] >> 4 != 4 || (a[6] & 0x40) == 0 || kit_sum(0, a, 20) != 0xffff ||
        kit_sum(0, b, 20) != 0xffff)
        return false;
    memcpy(x, a, len);
    memcpy(y, b, len);
    memset(x + 4, 0, 2);
    memset(y + 4, 0, 2);
    memset(x + 10, 0, 2);
    memset(y + 10, 0, 2);
    return memcmp(x, y, len) == 0;
}

/* This packet came out: it has to be the first of its flow that has not come yet. */
static inline void trip_back(struct trip *t, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < t->count; i++) {
        struct trip_packet *p = &t->packets[i];
        struct plait_ip_parts inner;
        if (p->back || !trip_same_flow(p->bytes, p->len, bytes, len))
            continue;
        TRIP_CHECK(plait_ip_parts_find(p->bytes, p->len, &inner) == PLAIT_OK && inner.len == len);
        if (p->partial)
            TRIP_CHECK(plait_segment_complete(p->bytes, p->len) == PLAIT_OK);
        TRIP_CHECK(trip_equal(p->bytes, bytes, len));
        p->back = true;
        return;
    }
    TRIP_CHECK(t == NULL); /* a packet that was not put in */
}

static inline void trip_write(struct trip *t, const struct iovec *parts, size_t count)
{
    static uint8_t frame[PLAIT_VNET_BYTES + PLAIT_IP_MAX], out[PLAIT_IP_MAX];
    struct plait_segment s;
    size_t len = 0;
    int packets, got;

    TRIP_CHECK(count > 0 && count <= PLAIT_COALESCE_PARTS_MAX);
    for (size_t i = 0; i < count; i++) {
        TRIP_CHECK(len + parts[i].iov_len <= sizeof frame);
        memcpy(frame + len, parts[i].iov_base, parts[i].iov_len);
        len += parts[i].iov_len;
    }
    t->writes++;
    packets = plait_segment_init(&s, frame, len, false);
    TRIP_CHECK(packets > 0);
    for (int i = 0; i < packets; i++) {
        got = plait_segment_next(&s, out, sizeof out);
        TRIP_CHECK(got > 0);
        trip_back(t, out, (size_t)got);
    }
    TRIP_CHECK(plait_segment_next(&s, out, sizeof out) == 0);
}

static inline void trip_flush(struct trip *t, struct plait_coalesce *c)
{
    const struct iovec *parts;
    size_t count;

    while ((parts = plait_coalesce_next(c, &count)) != NULL)
        trip_write(t, parts, count);
}

/* All of them, and then the trip is empty again; `writes` stays. */
static inline void trip_run(struct trip *t, struct plait_coalesce *c)
{
    t->writes = 0;
    for (size_t i = 0; i < t->count; i++) {
        struct trip_packet *p = &t->packets[i];
        int err = plait_coalesce_add(c, p->bytes, p->len, p->partial);
        if (err == PLAIT_ERR_LIMIT) {
            trip_flush(t, c);
            err = plait_coalesce_add(c, p->bytes, p->len, p->partial);
        }
        TRIP_CHECK(err == PLAIT_OK || err == PLAIT_ERR_FORMAT);
        if (err == PLAIT_ERR_FORMAT)
            p->back = true; /* left out */
    }
    trip_flush(t, c);
    for (size_t i = 0; i < t->count; i++) {
        TRIP_CHECK(t->packets[i].back);
        free(t->packets[i].bytes);
    }
    t->count = 0;
}

#endif
