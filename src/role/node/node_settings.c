#include "node_settings.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key.h"
#include "units.h"

#define HUB_PORT 4040

static const struct plait_config_key node_keys[] = {
    {"name", false},    {"key", false},       {"hub", false},   {"hub-key", false}, {"interface", false},
    {"route", false},   {"mtu", false},       {"state", false}, {"user", false},    {"masquerade", false},
    {"control", false}, {"serve-lan", false}, {NULL, false},
};

static const struct plait_config_key uplink_keys[] = {
    {"interface", false}, {"address", false}, {"hub", false},   {"weight", false},
    {"backup", false},    {"quota", false},   {"limit", false}, {NULL, false},
};

static const struct plait_config_kind kinds[] = {
    {"node", false, node_keys},
    {"uplink", true, uplink_keys},
    {"community", true, plait_node_community_keys},
    {NULL, false, NULL},
};

static int take_name(struct plait_config_section *s, struct plait_node_settings *n)
{
    const char *text = plait_config_text(s, "name");

    if (text == NULL)
        return PLAIT_OK;
    if (!plait_hello_name_is_good(text, strlen(text)))
        return plait_config_fail(s, "name", 0,
                                 "at most %u letters, digits, . _ -, the first a letter or a digit",
                                 PLAIT_HELLO_NAME_MAX);
    memcpy(n->name, text, strlen(text) + 1);
    return PLAIT_OK;
}

static int take_hub_key(struct plait_config_section *s, struct plait_node_settings *n)
{
    const char *text = plait_config_text(s, "hub-key");

    if (text == NULL || plait_key_parse(text, strlen(text), &n->hub_key) != PLAIT_OK)
        return plait_config_fail(s, "hub-key", 0,
                                 "not a public key: 44 characters of base64, as plait key public "
                                 "writes them");
    return PLAIT_OK;
}

static int take_prefixes(struct plait_config_section *s, const char *text, struct plait_node_settings *n)
{
    char word[PLAIT_CONFIG_LINE_MAX + 1];

    while (plait_config_word(&text, word, sizeof word) == PLAIT_OK) {
        if (n->route_count == PLAIT_NODE_ROUTES_MAX)
            return plait_config_fail(s, "route", 0, "more than %d prefixes", PLAIT_NODE_ROUTES_MAX);
        if (plait_config_parse_prefix(word, &n->routes[n->route_count++]) != PLAIT_OK)
            return plait_config_fail(s, "route", 0, "%s is not default, none or a prefix such as 10.0.0.0/8",
                                     word);
    }
    return n->route_count > 0 ? PLAIT_OK : plait_config_fail(s, "route", 0, "default, none or prefixes");
}

static int take_route(struct plait_config_section *s, struct plait_node_settings *n)
{
    const char *text = plait_config_text(s, "route");

    if (text == NULL || strcmp(text, "none") == 0) {
        n->route = PLAIT_NODE_ROUTE_NONE;
        return PLAIT_OK;
    }
    if (strcmp(text, "default") == 0) {
        n->route = PLAIT_NODE_ROUTE_DEFAULT;
        return PLAIT_OK;
    }
    n->route = PLAIT_NODE_ROUTE_PREFIXES;
    return take_prefixes(s, text, n);
}

static int require_all(struct plait_config_section *s)
{
    static const char *const keys[] = {"name", "key", "hub", "hub-key"};

    for (size_t i = 0; i < PLAIT_COUNT(keys); i++) {
        int err = plait_config_require(s, keys[i]);
        if (err != PLAIT_OK)
            return err;
    }
    return PLAIT_OK;
}

static int take_mtu(struct plait_config_section *s, struct plait_node_settings *n)
{
    const char *text = plait_config_text(s, "mtu");
    uint64_t mtu = 0;

    if (text != NULL && strcmp(text, "auto") == 0)
        return PLAIT_OK;
    int err = plait_config_get_number(s, "mtu", PLAIT_NODE_MTU_MIN, PLAIT_NODE_MTU_MAX, &mtu);
    n->mtu = (unsigned)mtu;
    return err;
}

static int take_node(struct plait_config_section *s, struct plait_node_settings *n)
{
    int err;

    if ((err = require_all(s)) != PLAIT_OK || (err = take_name(s, n)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "key", n->key_file, sizeof n->key_file)) != PLAIT_OK ||
        (err = plait_config_get_endpoint(s, "hub", HUB_PORT, &n->hub)) != PLAIT_OK ||
        (err = take_hub_key(s, n)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "interface", n->interface, sizeof n->interface)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "control", n->control, sizeof n->control)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "state", n->state_file, sizeof n->state_file)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "user", n->user, sizeof n->user)) != PLAIT_OK ||
        (err = take_mtu(s, n)) != PLAIT_OK ||
        (err = plait_config_get_flag(s, "masquerade", &n->masquerade)) != PLAIT_OK ||
        (err = plait_config_get_flag(s, "serve-lan", &n->masquerade)) != PLAIT_OK)
        return err;
    return take_route(s, n);
}

static int take_source(struct plait_config_section *s, struct plait_node_uplink_settings *u)
{
    int err = plait_config_get_address(s, "address", &u->address);

    if (err != PLAIT_OK)
        return err;
    if (u->address.family != 0 && u->address.bits != (u->address.family == AF_INET ? 32 : 128))
        return plait_config_fail(s, "address", 0, "an address without a prefix length");
    return plait_config_get_text(s, "interface", u->interface, sizeof u->interface);
}

static int take_uplink(struct plait_config_section *s, const struct plait_node_settings *n,
                       struct plait_node_uplink_settings *u)
{
    int err;

    memcpy(u->name, plait_config_label(s), strlen(plait_config_label(s)) + 1);
    u->hub = n->hub;
    if ((err = take_source(s, u)) != PLAIT_OK ||
        (err = plait_config_get_endpoint(s, "hub", HUB_PORT, &u->hub)) != PLAIT_OK ||
        (err = plait_config_get_weights(s, "weight", &u->weight_down, &u->weight_up)) != PLAIT_OK ||
        (err = plait_config_get_flag(s, "backup", &u->backup)) != PLAIT_OK ||
        (err = plait_config_get_rates(s, "limit", &u->limit_down, &u->limit_up)) != PLAIT_OK)
        return err;
    return plait_config_get_quota(s, "quota", &u->quota_bytes, &u->quota_period);
}

static int take_uplinks(struct plait_config *c, struct plait_node_settings *n)
{
    size_t count = plait_config_count(c, "uplink");

    if (count > PLAIT_NODE_UPLINKS_MAX)
        return plait_config_fail_section(plait_config_section(c, "uplink", PLAIT_NODE_UPLINKS_MAX),
                                         "more than %u uplinks", PLAIT_NODE_UPLINKS_MAX);
    for (size_t i = 0; i < count; i++) {
        int err = take_uplink(plait_config_section(c, "uplink", i), n, &n->uplinks[i]);
        if (err != PLAIT_OK)
            return err;
    }
    n->uplink_count = count;
    if (count == 0 && plait_config_count(c, "community") == 0) { /* wherever the system's routes lead */
        n->uplinks[0] = (struct plait_node_uplink_settings){.name = "any", .hub = n->hub};
        n->uplink_count = 1;
    }
    return PLAIT_OK;
}

/* A name that nobody has would be an uplink that is silently not on offer. */
static int check_offer(struct plait_config_section *s, const struct plait_node_settings *n, const char *at)
{
    char word[PLAIT_CONFIG_LINE_MAX + 1];

    while (plait_config_word(&at, word, sizeof word) == PLAIT_OK) {
        bool known = strcmp(word, "all") == 0;
        for (size_t i = 0; i < n->uplink_count; i++)
            known = known || strcmp(word, n->uplinks[i].name) == 0;
        if (!known)
            return plait_config_fail(s, "offer", 0, "there is no [uplink \"%s\"]", word);
    }
    return PLAIT_OK;
}

static int take_communities(struct plait_config *c, struct plait_node_settings *n)
{
    size_t count = plait_config_count(c, "community");

    if (count > PLAIT_NODE_COMMUNITIES_MAX)
        return plait_config_fail_section(plait_config_section(c, "community", PLAIT_NODE_COMMUNITIES_MAX),
                                         "more than %d communities", PLAIT_NODE_COMMUNITIES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct plait_config_section *s = plait_config_section(c, "community", i);
        int err = plait_node_community_read(s, &n->communities[i]);
        if (err == PLAIT_OK)
            err = check_offer(s, n, n->communities[i].offer);
        if (err != PLAIT_OK)
            return err;
    }
    n->community_count = count;
    return PLAIT_OK;
}

static void set_defaults(struct plait_node_settings *n)
{
    memset(n, 0, sizeof *n);
    strcpy(n->interface, "plait0");
    strcpy(n->control, "/run/plait/node.sock");
    strcpy(n->state_file, "/var/lib/plait/node.state");
}

static int take_all(struct plait_config *c, const char *path, struct plait_node_settings *n,
                    char error[PLAIT_NODE_ERROR_MAX])
{
    struct plait_config_section *s = plait_config_section(c, "node", 0);
    int err;

    if (s == NULL) {
        snprintf(error, PLAIT_NODE_ERROR_MAX, "%s: there is no section [node]", path);
        return PLAIT_ERR_NOTFOUND;
    }
    if ((err = take_node(s, n)) != PLAIT_OK || (err = take_uplinks(c, n)) != PLAIT_OK ||
        (err = take_communities(c, n)) != PLAIT_OK)
        snprintf(error, PLAIT_NODE_ERROR_MAX, "%s", plait_config_error(c));
    return err;
}

int plait_node_settings_read(const char *path, struct plait_node_settings *out,
                             char error[PLAIT_NODE_ERROR_MAX])
{
    struct plait_node_settings *n = malloc(sizeof *n);
    struct plait_config *c = NULL;
    int err = n != NULL ? plait_config_read(path, kinds, &c) : PLAIT_ERR_NOMEM;

    if (err == PLAIT_OK) {
        set_defaults(n);
        err = take_all(c, path, n, error);
    } else if (err == PLAIT_ERR_NOTFOUND) {
        snprintf(error, PLAIT_NODE_ERROR_MAX,
                 "%s: there is no such file. plait node join TOKEN makes it, out of the token that plait hub "
                 "add prints "
                 "on the hub; -c FILE names another one. See plait-node(8)",
                 path);
    } else {
        snprintf(error, PLAIT_NODE_ERROR_MAX, "%s", c != NULL ? plait_config_error(c) : plait_err_name(err));
    }
    if (err == PLAIT_OK)
        *out = *n;
    plait_config_free(c);
    free(n);
    return err;
}
