#include "addresses.h"

#include <stdlib.h>
#include <string.h>

#include "prng.h"
#include "units.h"

#define TRIES_MAX 64 /* at random places, before the network is gone through in order */

bool plait_addresses_has(const struct plait_prefix *p, int family, const uint8_t *address)
{
    size_t whole = p->bits / 8;

    if (p->family == 0 || p->family != family || memcmp(p->address, address, whole) != 0)
        return false;
    unsigned rest = p->bits % 8;
    return rest == 0 || ((p->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

void plait_addresses_first(const struct plait_prefix *network, uint8_t *out)
{
    size_t len = network->family == AF_INET ? 4 : 16;

    if (network->family == 0)
        return;
    memcpy(out, network->address, len);
    out[len - 1] |= 1;
}

/* How many of the last bits are ours to choose, at most 32. */
static unsigned host_bits(const struct plait_prefix *net)
{
    unsigned all = net->family == AF_INET ? 32 : 128;

    return (unsigned)plait_min_u64(all - net->bits, 32);
}

static void make_address(const struct plait_prefix *net, uint32_t host, uint8_t *out)
{
    size_t len = net->family == AF_INET ? 4 : 16;

    memcpy(out, net->address, len);
    for (size_t i = 0; i < 4; i++)
        out[len - 1 - i] |= (uint8_t)(host >> (8 * i));
}

static const uint8_t *address_of(const struct plait_hub_node_settings *n, int family)
{
    if (family == AF_INET)
        return n->has_v4 ? n->v4 : NULL;
    return n->has_v6 ? n->v6 : NULL;
}

/* The taken ones, sorted, for looking up. */
struct taken {
    uint8_t (*all)[16];
    size_t count, len;
};

static int find_place(const struct taken *t, const uint8_t *address, size_t *at)
{
    size_t lo = 0, hi = t->count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = memcmp(t->all[mid], address, t->len);
        if (c == 0)
            return 1;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *at = lo;
    return 0;
}

/* False where it is taken. */
static bool take(struct taken *t, const uint8_t *address)
{
    size_t at;

    if (find_place(t, address, &at) != 0)
        return false;
    memmove(t->all + at + 1, t->all + at, (t->count - at) * sizeof *t->all);
    memcpy(t->all[at], address, t->len);
    t->count++;
    return true;
}

/* The first and the last of a network name nobody. */
static bool choose(struct taken *t, const struct plait_prefix *net, const uint8_t *key, uint8_t *out)
{
    unsigned bits = host_bits(net);
    uint64_t hosts = (UINT64_C(1) << bits) - 2;
    struct plait_prng g;

    memcpy(&g.state, key, sizeof g.state);
    for (uint64_t i = 0; i < TRIES_MAX + hosts; i++) {
        uint64_t host = i < TRIES_MAX ? plait_prng_below(&g, hosts) : i - TRIES_MAX;
        make_address(net, (uint32_t)(host + 1), out);
        if (take(t, out))
            return true;
    }
    return false;
}

static int assign_family(struct plait_hub_settings *h, const struct plait_prefix *net, const uint8_t *own)
{
    struct taken t = {.all = calloc(h->node_count + 1, sizeof *t.all),
                      .len = net->family == AF_INET ? 4 : 16};
    bool room = true;

    if (t.all == NULL)
        return PLAIT_ERR_NOMEM;
    take(&t, own);
    for (size_t i = 0; i < h->node_count; i++) {
        const uint8_t *address = address_of(&h->nodes[i], net->family);
        if (address != NULL)
            take(&t, address);
    }
    for (size_t i = 0; i < h->node_count && room; i++) {
        struct plait_hub_node_settings *n = &h->nodes[i];
        if (address_of(n, net->family) != NULL)
            continue;
        room = choose(&t, net, n->key.bytes, net->family == AF_INET ? n->v4 : n->v6);
        *(net->family == AF_INET ? &n->has_v4 : &n->has_v6) = room;
    }
    free(t.all);
    return room ? PLAIT_OK : PLAIT_ERR_LIMIT;
}

int plait_addresses_assign(struct plait_hub_settings *h)
{
    int err = PLAIT_OK;

    if (h->network4.family != 0)
        err = assign_family(h, &h->network4, h->own4);
    if (err == PLAIT_OK && h->network6.family != 0)
        err = assign_family(h, &h->network6, h->own6);
    return err;
}
