#include "policy.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "rtnl.h"
#include "sysctl.h"

#define TABLE_BASE     UINT32_C(0x706c0000)
#define PRIORITY_BASE  UINT32_C(30000)
#define PRIORITY_SLOTS UINT32_C(1000) /* of two; all before the main table's 32766 */
#define LISTED_MAX     256

/* FNV-1a. */
static uint32_t hash_of(const char *name)
{
    uint32_t h = UINT32_C(2166136261);

    for (; *name != '\0'; name++)
        h = (h ^ (uint8_t)*name) * UINT32_C(16777619);
    return h ^ h >> 16;
}

uint32_t plait_policy_table(const char *interface)
{
    return TABLE_BASE | (hash_of(interface) & 0xffff);
}

uint32_t plait_policy_priority(const char *interface)
{
    return PRIORITY_BASE + hash_of(interface) % PRIORITY_SLOTS * 2;
}

/* The rule that comes first and the one that comes second. */
static struct plait_rtnl_rule rule_of(const char *interface, int family, unsigned which)
{
    struct plait_rtnl_rule rule = {.family = family,
                                   .priority = plait_policy_priority(interface) + which,
                                   .table = RT_TABLE_MAIN,
                                   .suppress_prefix = 0};

    if (which == 0)
        return rule;
    rule.table = plait_policy_table(interface);
    rule.mark = PLAIT_POLICY_MARK;
    rule.mask = UINT32_MAX;
    rule.invert = true;
    rule.suppress_prefix = -1;
    return rule;
}

static int clear_rules(struct plait_rtnl *r, const char *interface, int family)
{
    struct plait_rtnl_rule rules[LISTED_MAX];
    uint32_t first = plait_policy_priority(interface);
    int count = plait_rtnl_rules(r, family, rules, LISTED_MAX), removed = 0;

    for (int i = 0; i < count && i < LISTED_MAX; i++) {
        if (rules[i].protocol != PLAIT_RTNL_PROTOCOL ||
            (rules[i].priority != first && rules[i].priority != first + 1))
            continue;
        rules[i].family = family;
        if (plait_rtnl_del_rule(r, &rules[i]) == PLAIT_OK)
            removed++;
    }
    return count < 0 ? count : removed;
}

static int clear_routes(struct plait_rtnl *r, const char *interface, int family)
{
    struct plait_rtnl_route routes[LISTED_MAX];
    int count, removed = 0, before;

    do {
        before = removed;
        count = plait_rtnl_routes(r, family, plait_policy_table(interface), routes, LISTED_MAX);
        for (int i = 0; i < count && i < LISTED_MAX; i++)
            if (plait_rtnl_del_route(r, &routes[i]) == PLAIT_OK)
                removed++;
    } while (count > LISTED_MAX && removed > before);
    return count < 0 ? count : removed;
}

static int clear(struct plait_rtnl *r, const char *interface)
{
    static const int families[] = {AF_INET, AF_INET6};
    int removed = 0, err = PLAIT_OK;

    for (size_t i = 0; i < 2; i++) {
        int rules = clear_rules(r, interface, families[i]), routes = clear_routes(r, interface, families[i]);
        removed += (rules > 0 ? rules : 0) + (routes > 0 ? routes : 0);
        /* Without IPv6 there is nothing of it to remove. */
        if (families[i] == AF_INET && (rules < 0 || routes < 0))
            err = PLAIT_ERR_IO;
    }
    return err == PLAIT_OK ? removed : err;
}

static int add_routes(struct plait_rtnl *r, const struct plait_policy_options *o, unsigned ifindex,
                      const struct plait_prefix *list, size_t count, bool elsewhere)
{
    for (size_t i = 0; i < count; i++) {
        const struct plait_rtnl_route route = {.to = list[i],
                                               .ifindex = elsewhere ? 0 : ifindex,
                                               .table = plait_policy_table(o->interface),
                                               .mtu = elsewhere ? 0 : o->mtu,
                                               .elsewhere = elsewhere};
        int err = plait_rtnl_add_route(r, &route);
        if (err != PLAIT_OK)
            return err == PLAIT_ERR_NOTFOUND ? err : PLAIT_ERR_IO;
    }
    return PLAIT_OK;
}

static bool has_family(const struct plait_policy_options *o, int family)
{
    for (size_t i = 0; i < o->to_count; i++)
        if (o->to[i].family == family)
            return true;
    return false;
}

static int add_rules(struct plait_rtnl *r, const struct plait_policy_options *o)
{
    static const int families[] = {AF_INET, AF_INET6};

    for (size_t i = 0; i < 2; i++) {
        for (unsigned which = 0; which < 2 && has_family(o, families[i]); which++) {
            const struct plait_rtnl_rule rule = rule_of(o->interface, families[i], which);
            if (plait_rtnl_add_rule(r, &rule) != PLAIT_OK)
                return PLAIT_ERR_IO;
        }
    }
    return PLAIT_OK;
}

int plait_policy_set(const struct plait_policy_options *o)
{
    unsigned ifindex = if_nametoindex(o->interface);
    struct plait_rtnl r;
    int err, saved;

    if (ifindex == 0)
        return PLAIT_ERR_NOTFOUND;
    if (plait_rtnl_open(&r) != PLAIT_OK)
        return PLAIT_ERR_IO;
    err = clear(&r, o->interface) < 0 ? PLAIT_ERR_IO : PLAIT_OK;
    if (err == PLAIT_OK)
        err = add_routes(&r, o, ifindex, o->elsewhere, o->elsewhere_count, true);
    if (err == PLAIT_OK)
        err = add_routes(&r, o, ifindex, o->to, o->to_count, false);
    if (err == PLAIT_OK)
        err = add_rules(&r, o);
    saved = errno;
    if (err != PLAIT_OK)
        (void)!clear(&r, o->interface);
    plait_rtnl_close(&r);
    errno = saved;
    return err;
}

int plait_policy_clear(const char *interface)
{
    struct plait_rtnl r;
    int removed;

    if (plait_rtnl_open(&r) != PLAIT_OK)
        return PLAIT_ERR_IO;
    removed = clear(&r, interface);
    plait_rtnl_close(&r);
    return removed;
}

int plait_policy_loosen(const char *interface)
{
    char name[64];
    int64_t all, own;

    snprintf(name, sizeof name, "ipv4/conf/%s/rp_filter", interface);
    if (plait_sysctl_get("ipv4/conf/all/rp_filter", &all) != PLAIT_OK ||
        plait_sysctl_get(name, &own) != PLAIT_OK)
        return PLAIT_ERR_IO;
    /* The greater of the two holds: 0 none, 1 strict, 2 loose. */
    if (all != 1 && own != 1)
        return 0;
    if (all == 2 || own == 2)
        return 0;
    return plait_sysctl_set(name, 2) == PLAIT_OK ? 1 : PLAIT_ERR_IO;
}
