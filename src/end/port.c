#include "port.h"

#include <stdlib.h>
#include <string.h>

#include "segment.h"

/* A turn reads that many super-packets at most, then others have theirs. */
#define FRAMES_MAX 16

int plait_port_init(struct plait_port *p, const struct plait_tun *tun, struct plait_pool *pool, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    p->tun = *tun;
    p->pool = pool;
    p->frame = malloc(PLAIT_TUN_FRAME_MAX);
    p->out = plait_coalesce_new(tun->uso, seed);
    return p->frame != NULL && p->out != NULL ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

void plait_port_done(struct plait_port *p)
{
    if (p->pool == NULL)
        return;
    plait_tun_close(&p->tun);
    plait_coalesce_free(p->out);
    free(p->frame);
    memset(p, 0, sizeof *p);
}

static void take_frame(struct plait_port *p, size_t len, void (*take)(void *ctx, struct plait_packet *packet),
                       void *ctx)
{
    struct plait_segment s;
    struct plait_packet *packet;
    int n;

    if (plait_segment_init(&s, p->frame, len, false) < 0) {
        p->in_lost++;
        return;
    }
    for (;;) {
        packet = plait_pool_take(p->pool);
        if (packet == NULL) {
            p->in_lost++;
            return;
        }
        n = plait_segment_next(&s, packet->data, p->pool->room);
        if (n <= 0)
            break;
        packet->len = (uint16_t)n;
        p->in_packets++;
        take(ctx, packet);
    }
    p->in_lost += n < 0;
    plait_pool_give(p->pool, packet);
}

int plait_port_read(struct plait_port *p, void (*take)(void *ctx, struct plait_packet *packet), void *ctx)
{
    for (int i = 0; i < FRAMES_MAX; i++) {
        int len = plait_tun_read(&p->tun, p->frame, PLAIT_TUN_FRAME_MAX);
        if (len <= 0)
            return len;
        take_frame(p, (size_t)len, take, ctx);
    }
    return PLAIT_OK;
}

void plait_port_write(struct plait_port *p, const uint8_t *packet, size_t len)
{
    int err = plait_coalesce_add(p->out, packet, len, false);

    if (err == PLAIT_ERR_LIMIT) {
        plait_port_flush(p);
        err = plait_coalesce_add(p->out, packet, len, false);
    }
    p->waiting = true;
    p->out_packets++;
    p->out_lost += err != PLAIT_OK;
}

void plait_port_flush(struct plait_port *p)
{
    const struct iovec *parts;
    size_t count;

    if (!p->waiting)
        return;
    p->waiting = false;
    while ((parts = plait_coalesce_next(p->out, &count)) != NULL)
        p->out_lost += plait_tun_write(&p->tun, parts, count) != PLAIT_OK;
}

json_t *plait_port_report(const struct plait_port *p)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "in", (json_int_t)p->in_packets, "in_lost",
                     (json_int_t)p->in_lost, "out", (json_int_t)p->out_packets, "out_lost",
                     (json_int_t)p->out_lost);
}
