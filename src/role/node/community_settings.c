#include "community_settings.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "community.h"
#include "units.h"

#define MISSED_MAX 100
#define PERIOD_MIN (100 * PLAIT_MS)
#define PERIOD_MAX (600 * PLAIT_S)

const struct plait_config_key plait_node_community_keys[] = {
    {"interface", false}, {"key", false},        {"offer", false},  {"share", false},
    {"limit", false},     {"quota", false},      {"period", false}, {"missed", false},
    {"port", false},      {"neighbours", false}, {NULL, false},
};

/* `50%`: from 1 to 100. */
static int take_share(struct plait_config_section *s, double *out)
{
    const char *text = plait_config_text(s, "share");
    char *end;

    if (text == NULL)
        return PLAIT_OK;
    long percent = strtol(text, &end, 10);
    if (end == text || (strcmp(end, "%") != 0 && *end != '\0') || percent < 1 || percent > 100)
        return plait_config_fail(s, "share", 0, "from 1%% to 100%%");
    *out = (double)percent / 100;
    return PLAIT_OK;
}

static int take_neighbours(struct plait_config_section *s, struct plait_node_community_settings *c)
{
    const char *text = plait_config_text(s, "neighbours");
    char word[PLAIT_CONFIG_LINE_MAX + 1];
    struct plait_config_endpoint e;

    while (text != NULL && plait_config_word(&text, word, sizeof word) == PLAIT_OK) {
        if (c->neighbour_count == PLAIT_NODE_NEIGHBOURS_MAX)
            return plait_config_fail(s, "neighbours", 0, "more than %d", PLAIT_NODE_NEIGHBOURS_MAX);
        if (plait_config_parse_endpoint(word, c->port, &e) != PLAIT_OK ||
            plait_udp_address_parse(e.host, e.port, &c->neighbours[c->neighbour_count++]) != PLAIT_OK)
            return plait_config_fail(s, "neighbours", 0, "%s is not an address, perhaps with :PORT", word);
    }
    return PLAIT_OK;
}

static int take_numbers(struct plait_config_section *s, struct plait_node_community_settings *c)
{
    uint64_t missed = c->missed_max, port = c->port;
    int err;

    if ((err = plait_config_get_number(s, "missed", 1, MISSED_MAX, &missed)) != PLAIT_OK ||
        (err = plait_config_get_number(s, "port", 1, UINT16_MAX, &port)) != PLAIT_OK ||
        (err = plait_config_get_time(s, "period", &c->period)) != PLAIT_OK)
        return err;
    if (c->period < PERIOD_MIN || c->period > PERIOD_MAX)
        return plait_config_fail(s, "period", 0, "from 100ms to 600s");
    c->missed_max = (unsigned)missed;
    c->port = (uint16_t)port;
    return PLAIT_OK;
}

int plait_node_community_read(struct plait_config_section *s, struct plait_node_community_settings *out)
{
    struct plait_node_community_settings c = {.share = 1,
                                              .period = PLAIT_COMMUNITY_PERIOD,
                                              .missed_max = PLAIT_COMMUNITY_MISSED_MAX,
                                              .port = PLAIT_COMMUNITY_PORT};
    int err;

    memcpy(c.name, plait_config_label(s), strlen(plait_config_label(s)) + 1);
    if ((err = plait_config_require(s, "interface")) != PLAIT_OK ||
        (err = plait_config_require(s, "key")) != PLAIT_OK ||
        (err = plait_config_get_text(s, "interface", c.interface, sizeof c.interface)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "key", c.key_file, sizeof c.key_file)) != PLAIT_OK ||
        (err = plait_config_get_text(s, "offer", c.offer, sizeof c.offer)) != PLAIT_OK ||
        (err = take_share(s, &c.share)) != PLAIT_OK ||
        (err = plait_config_get_rates(s, "limit", &c.limit_down, &c.limit_up)) != PLAIT_OK ||
        (err = plait_config_get_quota(s, "quota", &c.quota_bytes, &c.quota_period)) != PLAIT_OK ||
        (err = take_numbers(s, &c)) != PLAIT_OK || (err = take_neighbours(s, &c)) != PLAIT_OK)
        return err;
    *out = c;
    return PLAIT_OK;
}

static bool has_same_neighbours(const struct plait_node_community_settings *a,
                                const struct plait_node_community_settings *b)
{
    if (a->neighbour_count != b->neighbour_count)
        return false;
    for (size_t i = 0; i < a->neighbour_count; i++)
        if (!plait_udp_address_equal(&a->neighbours[i], &b->neighbours[i]))
            return false;
    return true;
}

bool plait_node_community_is_same(const struct plait_node_community_settings *a,
                                  const struct plait_node_community_settings *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->interface, b->interface) == 0 &&
           strcmp(a->key_file, b->key_file) == 0 && a->period == b->period &&
           a->missed_max == b->missed_max && a->port == b->port && has_same_neighbours(a, b);
}

bool plait_node_community_offers(const struct plait_node_community_settings *s, const char *uplink,
                                 bool metered)
{
    const char *at = s->offer;
    char word[PLAIT_CONFIG_LINE_MAX + 1];

    while (plait_config_word(&at, word, sizeof word) == PLAIT_OK)
        if (strcmp(word, uplink) == 0 || (!metered && strcmp(word, "all") == 0))
            return true;
    return false;
}
