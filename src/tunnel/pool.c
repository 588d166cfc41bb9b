#include "pool.h"

#include <assert.h>
#include <stdlib.h>

#define ROOM_MAX  65000u
#define ALIGNMENT 64u

int plait_pool_init(struct plait_pool *pool, uint32_t count, uint32_t room)
{
    if (count == 0 || room == 0 || room > ROOM_MAX)
        return PLAIT_ERR_ARG;
    size_t stride =
        ((size_t)PLAIT_PACKET_HEAD + room + PLAIT_PACKET_TAIL + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    *pool = (struct plait_pool){.count = count, .spare_n = count, .room = room};
    pool->packets = calloc(count, sizeof(*pool->packets));
    pool->bytes = calloc(count, stride);
    if (pool->packets == NULL || pool->bytes == NULL) {
        free(pool->packets);
        free(pool->bytes);
        return PLAIT_ERR_NOMEM;
    }
    for (uint32_t i = count; i-- > 0;) {
        struct plait_packet *p = &pool->packets[i];
        p->data = pool->bytes + i * stride + PLAIT_PACKET_HEAD;
        p->next = pool->spare;
        pool->spare = p;
    }
    return PLAIT_OK;
}

void plait_pool_done(struct plait_pool *pool)
{
    assert(pool->spare_n == pool->count);
    free(pool->packets);
    free(pool->bytes);
    *pool = (struct plait_pool){0};
}

struct plait_packet *plait_pool_take(struct plait_pool *pool)
{
    struct plait_packet *p = pool->spare;

    if (p == NULL)
        return NULL;
    uint8_t *data = p->data;

    pool->spare = p->next;
    pool->spare_n--;
    *p = (struct plait_packet){.held = 1, .data = data};
    return p;
}

void plait_pool_give(struct plait_pool *pool, struct plait_packet *p)
{
    if (p == NULL)
        return;
    assert(p->held > 0);
    if (--p->held > 0)
        return;
    p->next = pool->spare;
    pool->spare = p;
    pool->spare_n++;
}
