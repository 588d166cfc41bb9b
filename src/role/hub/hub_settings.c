#include "hub_settings.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addresses.h"
#include "key.h"
#include "listen.h"
#include "units.h"

static const struct plait_config_key hub_keys[] = {
    {"listen", false},  {"key", false},  {"network", false}, {"interface", false}, {"nat", false},
    {"control", false}, {"user", false}, {"public", false},  {"mtu", false},       {"workers", false},
    {"publish", true},  {"idle", false}, {NULL, false},
};

static const struct plait_config_key node_keys[] = {
    {"key", false}, {"lan", false}, {"address", false}, {"allow", false}, {NULL, false},
};

static const struct plait_config_kind kinds[] = {
    {"hub", false, hub_keys},
    {"node", true, node_keys},
    {NULL, false, NULL},
};

/* [hub] */

static int take_listen(struct plait_config_section *s, struct plait_hub_settings *h)
{
    const char *text = plait_config_text(s, "listen");

    if (text != NULL && plait_endpoint_parse(text, &h->listen) != PLAIT_OK)
        return plait_config_fail(s, "listen", 0, "ADDRESS:PORT, [IPv6]:PORT, or *:PORT for all addresses");
    return PLAIT_OK;
}

static int take_network(struct plait_config_section *s, struct plait_hub_settings *h)
{
    const char *text = plait_config_text(s, "network");
    char word[PLAIT_CONFIG_LINE_MAX + 1];
    struct plait_prefix p;

    while (plait_config_word(&text, word, sizeof word) == PLAIT_OK) {
        if (plait_config_parse_prefix(word, &p) != PLAIT_OK)
            return plait_config_fail(s, "network", 0, "%s is not a network such as 10.77.0.0/16", word);
        struct plait_prefix *net = p.family == AF_INET ? &h->network4 : &h->network6;
        if (net->family != 0)
            return plait_config_fail(s, "network", 0, "one network of IPv4 and one of IPv6 at most");
        if (p.bits < 8 || p.bits > (p.family == AF_INET ? 30u : 126u))
            return plait_config_fail(
                s, "network", 0, "%s has no room for a hub and its nodes (/8 to /30, IPv6 to /126)", word);
        *net = p;
    }
    if (h->network4.family == 0 && h->network6.family == 0)
        return plait_config_fail(s, "network", 0, "a network such as 10.77.0.0/16");
    return PLAIT_OK;
}

static int take_nat(struct plait_config_section *s, struct plait_hub_settings *h)
{
    const char *text = plait_config_text(s, "nat");

    return text == NULL || strcmp(text, "off") == 0 ? PLAIT_OK
                                                    : plait_config_get_text(s, "nat", h->nat, sizeof h->nat);
}

static int take_numbers(struct plait_config_section *s, struct plait_hub_settings *h)
{
    const char *workers = plait_config_text(s, "workers");
    uint64_t mtu = h->mtu, count = 0;
    int err = plait_config_get_number(s, "mtu", PLAIT_HUB_MTU_MIN, PLAIT_HUB_MTU_MAX, &mtu);

    if (err == PLAIT_OK && workers != NULL && strcmp(workers, "auto") != 0)
        err = plait_config_get_number(s, "workers", 1, PLAIT_HUB_WORKERS_MAX, &count);
    h->mtu = (unsigned)mtu;
    h->workers = (unsigned)count;
    return err;
}

static int take_hub(struct plait_config_section *s, struct plait_hub_settings *h)
{
    int err;

    if ((err = plait_config_require(s, "key")) != PLAIT_OK ||
        (err = plait_config_require(s, "network")) != PLAIT_OK || (err = take_listen(s, h)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "key", h->key_file, sizeof h->key_file)) != PLAIT_OK ||
        (err = take_network(s, h)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "interface", h->interface, sizeof h->interface)) != PLAIT_OK ||
        (err = take_nat(s, h)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "control", h->control, sizeof h->control)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "user", h->user, sizeof h->user)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "public", h->public_endpoint, sizeof h->public_endpoint)) !=
            PLAIT_OK ||
        (err = plait_config_get_time(s, "idle", &h->udp_idle_ns)) != PLAIT_OK)
        return err;
    return take_numbers(s, h);
}

/* publish = tcp/8080 -> farm:80 */

static bool parse_port(const char *text, uint16_t *out)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    if (text[0] < '1' || text[0] > '9' || *end != '\0' || v > UINT16_MAX)
        return false;
    *out = (uint16_t)v;
    return true;
}

static bool find_node(const struct plait_hub_settings *h, const char *name, size_t *out)
{
    for (size_t i = 0; i < h->node_count; i++)
        if (strcmp(h->nodes[i].name, name) == 0) {
            *out = i;
            return true;
        }
    return false;
}

static int take_publish(struct plait_config_section *s, size_t i, struct plait_hub_settings *h)
{
    const char *text = plait_config_text_at(s, "publish", i);
    char from[16], name[PLAIT_HELLO_NAME_MAX + 1], to[8];
    struct plait_hub_publish *p = &h->publish[h->publish_count];

    if (sscanf(text, "%15s -> %32[^: \t]:%7s", from, name, to) != 3 ||
        (strncmp(from, "tcp/", 4) != 0 && strncmp(from, "udp/", 4) != 0) || !parse_port(from + 4, &p->port) ||
        !parse_port(to, &p->to_port))
        return plait_config_fail(s, "publish", i, "not of the form tcp/8080 -> NODE:80");
    if (!find_node(h, name, &p->node))
        return plait_config_fail(s, "publish", i, "there is no [node \"%s\"]", name);
    if (h->nat[0] == '\0')
        return plait_config_fail(s, "publish", i, "needs nat = INTERFACE");
    p->udp = from[0] == 'u';
    for (size_t k = 0; k < h->publish_count; k++)
        if (h->publish[k].udp == p->udp && h->publish[k].port == p->port)
            return plait_config_fail(s, "publish", i, "%s is published already", from);
    h->publish_count++;
    return PLAIT_OK;
}

static int take_publishes(struct plait_config_section *s, struct plait_hub_settings *h)
{
    for (size_t i = 0; plait_config_text_at(s, "publish", i) != NULL; i++) {
        if (i == PLAIT_HUB_PUBLISH_MAX)
            return plait_config_fail(s, "publish", i, "more than %u of them", PLAIT_HUB_PUBLISH_MAX);
        int err = take_publish(s, i, h);
        if (err != PLAIT_OK)
            return err;
    }
    return PLAIT_OK;
}

/* [node "NAME"] */

static int take_key(struct plait_config_section *s, struct plait_hub_node_settings *n)
{
    const char *text = plait_config_text(s, "key");

    if (text == NULL)
        return plait_config_require(s, "key");
    if (plait_key_parse(text, strlen(text), &n->key) != PLAIT_OK)
        return plait_config_fail(s, "key", 0,
                                 "not a public key: 44 characters of base64, as plait key public "
                                 "writes them");
    return PLAIT_OK;
}

const char *plait_hub_settings_address(const struct plait_hub_settings *h, const char *word,
                                       struct plait_prefix *out)
{
    if (plait_config_parse_prefix(word, out) != PLAIT_OK ||
        out->bits != (out->family == AF_INET ? 32u : 128u))
        return "is not an address";
    const struct plait_prefix *net = out->family == AF_INET ? &h->network4 : &h->network6;
    if (!plait_addresses_has(net, out->family, out->address))
        return "is not in the hub's network";
    const uint8_t *own = out->family == AF_INET ? h->own4 : h->own6;
    return memcmp(out->address, own, out->family == AF_INET ? 4 : 16) == 0 ? "is the hub's own" : NULL;
}

static int take_address(struct plait_config_section *s, const struct plait_hub_settings *h, const char *word,
                        struct plait_hub_node_settings *n)
{
    struct plait_prefix p;
    const char *wrong = plait_hub_settings_address(h, word, &p);

    if (wrong != NULL)
        return plait_config_fail(s, "address", 0, "%s %s", word, wrong);
    if (p.family == AF_INET) {
        memcpy(n->v4, p.address, sizeof n->v4);
        n->has_v4 = true;
    } else {
        memcpy(n->v6, p.address, sizeof n->v6);
        n->has_v6 = true;
    }
    return PLAIT_OK;
}

static int take_addresses(struct plait_config_section *s, const struct plait_hub_settings *h,
                          struct plait_hub_node_settings *n)
{
    const char *text = plait_config_text(s, "address");
    char word[PLAIT_CONFIG_LINE_MAX + 1];
    int err = PLAIT_OK;

    while (text != NULL && err == PLAIT_OK && plait_config_word(&text, word, sizeof word) == PLAIT_OK)
        err = take_address(s, h, word, n);
    return err;
}

static int take_allow(struct plait_config_section *s, struct plait_hub_node_settings *n)
{
    const char *text = plait_config_text(s, "allow");
    char word[PLAIT_CONFIG_LINE_MAX + 1];

    while (text != NULL && plait_config_word(&text, word, sizeof word) == PLAIT_OK) {
        if (n->allow_count == PLAIT_HUB_ALLOW_MAX)
            return plait_config_fail(s, "allow", 0, "more than %u prefixes", PLAIT_HUB_ALLOW_MAX);
        if (plait_config_parse_prefix(word, &n->allow[n->allow_count++]) != PLAIT_OK)
            return plait_config_fail(s, "allow", 0, "%s is not a prefix such as 192.168.15.0/24", word);
    }
    return PLAIT_OK;
}

static int take_node(struct plait_config_section *s, const struct plait_hub_settings *h,
                     struct plait_hub_node_settings *n)
{
    uint64_t lan = 0;
    int err;

    memcpy(n->name, plait_config_label(s), strlen(plait_config_label(s)) + 1);
    n->has_lan = plait_config_text(s, "lan") != NULL;
    if ((err = take_key(s, n)) != PLAIT_OK ||
        (err = plait_config_get_number(s, "lan", 0, UINT32_MAX, &lan)) != PLAIT_OK ||
        (err = take_addresses(s, h, n)) != PLAIT_OK)
        return err;
    n->lan = (uint32_t)lan;
    return take_allow(s, n);
}

/* The same key or address twice would be found out by chance only. */
static int check_twins(struct plait_config *c, const struct plait_hub_settings *h, size_t i)
{
    const struct plait_hub_node_settings *n = &h->nodes[i];
    struct plait_config_section *s = plait_config_section(c, "node", i);

    for (size_t k = 0; k < i; k++) {
        const struct plait_hub_node_settings *o = &h->nodes[k];
        if (plait_key_is_equal(&n->key, &o->key))
            return plait_config_fail(s, "key", 0, "is that of [node \"%s\"] already", o->name);
        if ((n->has_v4 && o->has_v4 && memcmp(n->v4, o->v4, sizeof n->v4) == 0) ||
            (n->has_v6 && o->has_v6 && memcmp(n->v6, o->v6, sizeof n->v6) == 0))
            return plait_config_fail(s, "address", 0, "is that of [node \"%s\"] already", o->name);
    }
    return PLAIT_OK;
}

static int take_nodes(struct plait_config *c, struct plait_hub_settings *h)
{
    size_t count = plait_config_count(c, "node");

    if (count > PLAIT_HUB_NODES_MAX)
        return plait_config_fail_section(plait_config_section(c, "node", PLAIT_HUB_NODES_MAX),
                                         "more than %u nodes", PLAIT_HUB_NODES_MAX);
    h->nodes = calloc(count + 1, sizeof *h->nodes);
    if (h->nodes == NULL)
        return PLAIT_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        int err = take_node(plait_config_section(c, "node", i), h, &h->nodes[i]);
        if (err == PLAIT_OK)
            err = check_twins(c, h, i);
        if (err != PLAIT_OK)
            return err;
    }
    h->node_count = count;
    return PLAIT_OK;
}

static void set_defaults(struct plait_hub_settings *h)
{
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PLAIT_HUB_PORT)};

    memcpy(&h->listen, &any, sizeof any);
    strcpy(h->interface, "plait0");
    strcpy(h->control, "/run/plait/hub.sock");
    h->mtu = PLAIT_HUB_MTU;
    h->udp_idle_ns = 300 * PLAIT_S;
}

static int take_all(struct plait_config *c, const char *path, struct plait_hub_settings *h,
                    char error[PLAIT_HUB_ERROR_MAX])
{
    struct plait_config_section *s = plait_config_section(c, "hub", 0);
    int err;

    if (s == NULL) {
        snprintf(error, PLAIT_HUB_ERROR_MAX, "%s: there is no section [hub]", path);
        return PLAIT_ERR_NOTFOUND;
    }
    if ((err = take_hub(s, h)) == PLAIT_OK) {
        plait_addresses_first(&h->network4, h->own4);
        plait_addresses_first(&h->network6, h->own6);
        err = take_nodes(c, h);
    }
    if (err == PLAIT_OK)
        err = take_publishes(s, h);
    if (err == PLAIT_OK && (err = plait_addresses_assign(h)) != PLAIT_OK)
        snprintf(error, PLAIT_HUB_ERROR_MAX, "%s: the network has no address left for every node", path);
    else if (err != PLAIT_OK)
        snprintf(error, PLAIT_HUB_ERROR_MAX, "%s",
                 err == PLAIT_ERR_NOMEM ? "out of memory" : plait_config_error(c));
    return err;
}

int plait_hub_settings_read(const char *path, struct plait_hub_settings **out,
                            char error[PLAIT_HUB_ERROR_MAX])
{
    struct plait_hub_settings *h = calloc(1, sizeof *h);
    struct plait_config *c = NULL;
    int err = h != NULL ? plait_config_read(path, kinds, &c) : PLAIT_ERR_NOMEM;

    if (err == PLAIT_OK) {
        set_defaults(h);
        err = take_all(c, path, h, error);
    } else if (err == PLAIT_ERR_NOTFOUND) {
        snprintf(error, PLAIT_HUB_ERROR_MAX,
                 "%s: there is no such file. Write it as the example in plait-hub(8) shows, make its key "
                 "with plait key "
                 "new, and its nodes with plait hub add NAME; -c FILE names another one",
                 path);
    } else {
        snprintf(error, PLAIT_HUB_ERROR_MAX, "%s", c != NULL ? plait_config_error(c) : plait_err_name(err));
    }
    plait_config_free(c);
    if (err != PLAIT_OK) {
        plait_hub_settings_free(h);
        return err;
    }
    *out = h;
    return PLAIT_OK;
}

void plait_hub_settings_free(struct plait_hub_settings *s)
{
    if (s == NULL)
        return;
    free(s->nodes);
    free(s);
}
