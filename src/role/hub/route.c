#include <string.h>

#include "hub_int.h"
#include "units.h"

#define MTU_MIN 1280u         /* IPv6 knows no less */
#define PROBING (2 * PLAIT_S) /* that a bond takes to find out how long packets may be */

static bool open_rtnl(struct plait_hub_worker *w)
{
    if (!w->rtnl_is_open)
        w->rtnl_is_open = plait_rtnl_open(&w->rtnl) == PLAIT_OK;
    return w->rtnl_is_open;
}

static void set_route(struct plait_member *m, int family, const uint8_t *address, unsigned mtu)
{
    struct plait_hub_worker *w = m->worker;
    struct plait_rtnl_route route = {.ifindex = w->port.tun.index, .mtu = mtu};

    route.to.family = family;
    route.to.bits = family == AF_INET ? 32 : 128;
    memcpy(route.to.address, address, family == AF_INET ? 4 : 16);
    int err = mtu != 0 ? plait_rtnl_add_route(&w->rtnl, &route) : plait_rtnl_del_route(&w->rtnl, &route);
    if (err != PLAIT_OK && err != PLAIT_ERR_NOTFOUND)
        plait_say("node %s: cannot set the MTU of its route: %s", plait_member_settings(m)->name,
                  plait_reason(err));
}

static void set_routes(struct plait_member *m, unsigned mtu)
{
    const struct plait_hub_node_settings *n = plait_member_settings(m);

    m->route_mtu = mtu;
    if (!open_rtnl(m->worker))
        return;
    if (n->has_v4)
        set_route(m, AF_INET, n->v4, mtu);
    if (n->has_v6)
        set_route(m, AF_INET6, n->v6, mtu);
}

void plait_member_fit_route(struct plait_member *m)
{
    const struct plait_hub_settings *s = m->worker->table->settings;

    if (!m->is_home || plait_since(m->worker->loop.now, m->since) < PROBING)
        return;
    unsigned mtu = (unsigned)plait_max_u64(plait_bond_mtu(m->peer.bond), MTU_MIN);
    unsigned wanted = mtu < s->mtu ? mtu : 0;
    if (wanted != m->route_mtu)
        set_routes(m, wanted);
}

void plait_member_drop_route(struct plait_member *m)
{
    if (m->route_mtu != 0)
        set_routes(m, 0);
}
