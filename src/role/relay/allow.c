#include "allow.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "units.h"

#define V4_BITS   96 /* of the prefix in which IPv4 addresses are mapped */
#define LABEL_MAX 63

/* What is not of the public Internet (the registries of RFC 6890). IPv4 is written as it is mapped. */
static const struct range {
    enum plait_address_class class;
    uint8_t prefix[16];
    uint8_t bits;
    uint8_t v4_at; /* > 0: there an IPv4 address is contained, which decides where it is not public */
} ranges[] = {
#define V4(a, b, c, d, len) {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, V4_BITS + (len)
    {PLAIT_ADDRESS_NEVER, V4(0, 0, 0, 0, 8), 0}, /* this network: 0.0.0.0 is this machine */
    {PLAIT_ADDRESS_PRIVATE, V4(10, 0, 0, 0, 8), 0},
    {PLAIT_ADDRESS_PRIVATE, V4(100, 64, 0, 0, 10), 0}, /* behind a provider's NAT */
    {PLAIT_ADDRESS_PRIVATE, V4(127, 0, 0, 0, 8), 0},
    {PLAIT_ADDRESS_PRIVATE, V4(169, 254, 0, 0, 16), 0}, /* link-local, and clouds' metadata */
    {PLAIT_ADDRESS_PRIVATE, V4(172, 16, 0, 0, 12), 0},
    {PLAIT_ADDRESS_PRIVATE, V4(192, 0, 0, 0, 24), 0},
    {PLAIT_ADDRESS_PRIVATE, V4(192, 168, 0, 0, 16), 0},
    {PLAIT_ADDRESS_PRIVATE, V4(198, 18, 0, 0, 15), 0}, /* benchmarks */
    {PLAIT_ADDRESS_NEVER, V4(224, 0, 0, 0, 3), 0},     /* multicast, reserved, broadcast */
#undef V4
    {PLAIT_ADDRESS_NEVER, {0}, 128, 0},
    {PLAIT_ADDRESS_PRIVATE, {0}, 96, 0},                      /* loopback, and IPv4-compatible */
    {PLAIT_ADDRESS_PUBLIC, {0x00, 0x64, 0xff, 0x9b}, 96, 12}, /* NAT64 */
    {PLAIT_ADDRESS_PRIVATE, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, 0},
    {PLAIT_ADDRESS_PRIVATE, {0x01, 0x00}, 64, 0}, /* discard-only */
    {PLAIT_ADDRESS_PRIVATE, {0x20, 0x01}, 32, 0}, /* Teredo */
    {PLAIT_ADDRESS_PUBLIC, {0x20, 0x02}, 16, 2},  /* 6to4 */
    {PLAIT_ADDRESS_PRIVATE, {0xfc, 0x00}, 7, 0},
    {PLAIT_ADDRESS_PRIVATE, {0xfe, 0x80}, 10, 0},
    {PLAIT_ADDRESS_PRIVATE, {0xfe, 0xc0}, 10, 0},
    {PLAIT_ADDRESS_NEVER, {0xff, 0x00}, 8, 0},
};

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned rest = bits % 8;

    if (memcmp(a, b, bits / 8) != 0)
        return false;
    return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & (0xff00u >> rest)) == 0;
}

bool plait_address_is_v4(const struct plait_address *a)
{
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};

    return same_bits(a->bytes, mapped, V4_BITS);
}

static struct plait_address contained_v4(const uint8_t *v4)
{
    struct plait_address a = {.bytes = {[10] = 0xff, [11] = 0xff}};

    memcpy(a.bytes + 12, v4, 4);
    return a;
}

enum plait_address_class plait_address_class(const struct plait_address *a)
{
    for (size_t i = 0; i < PLAIT_COUNT(ranges); i++) {
        const struct range *r = &ranges[i];
        if (!same_bits(a->bytes, r->prefix, r->bits))
            continue;
        if (r->v4_at == 0)
            return r->class;
        struct plait_address inner = contained_v4(a->bytes + r->v4_at); /* which contains no other */
        return plait_address_class(&inner);
    }
    return PLAIT_ADDRESS_PUBLIC;
}

/* Whether all addresses of the prefix are alike in not being public. Of one with IPv4 in it, the IPv4 part decides. */
static bool is_private_prefix(const struct plait_address *a, unsigned bits)
{
    for (size_t i = 0; i < PLAIT_COUNT(ranges); i++) {
        const struct range *r = &ranges[i];
        if (bits < r->bits || !same_bits(a->bytes, r->prefix, r->bits))
            continue;
        if (r->v4_at == 0)
            return r->class == PLAIT_ADDRESS_PRIVATE;
        unsigned before = r->v4_at * 8u, inner_bits = bits - before > 32 ? 32 : bits - before;
        struct plait_address inner = contained_v4(a->bytes + r->v4_at);
        return bits > before && is_private_prefix(&inner, V4_BITS + inner_bits);
    }
    return false;
}

static char small(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

int plait_host_name(const char *s, size_t len, char out[PLAIT_ALLOW_NAME_MAX + 1])
{
    char name[PLAIT_ALLOW_NAME_MAX + 1];
    size_t label = 0;

    if (len > 0 && s[len - 1] == '.')
        len--;
    if (len == 0 || len > PLAIT_ALLOW_NAME_MAX)
        return PLAIT_ERR_FORMAT;
    for (size_t i = 0; i < len; i++) {
        char c = small(s[i]);
        if (c == '.' ? i == label : !is_label_char(c) || i - label >= LABEL_MAX)
            return PLAIT_ERR_FORMAT;
        if (c == '.')
            label = i + 1;
        name[i] = c;
    }
    if (label == len || (name[label] >= '0' && name[label] <= '9'))
        return PLAIT_ERR_FORMAT;
    memcpy(out, name, len);
    out[len] = '\0';
    return PLAIT_OK;
}

int plait_address_parse(const char *s, size_t len, struct plait_address *out)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t v4[4], v6[16];

    if (len == 0 || len >= sizeof text || memchr(s, '\0', len) != NULL)
        return PLAIT_ERR_FORMAT;
    memcpy(text, s, len);
    text[len] = '\0';
    if (inet_pton(AF_INET, text, v4) == 1) {
        *out = contained_v4(v4);
        return PLAIT_OK;
    }
    if (inet_pton(AF_INET6, text, v6) != 1)
        return PLAIT_ERR_FORMAT;
    memcpy(out->bytes, v6, sizeof v6);
    return PLAIT_OK;
}

/* `*` or a number; nothing may follow. */
static int parse_port(struct plait_text t, uint16_t *port)
{
    uint64_t v = 0;

    if (t.len == 1 && *t.at == '*') {
        *port = 0;
        return PLAIT_OK;
    }
    int err = plait_text_take_u64(&t, UINT16_MAX, &v);
    if (err == PLAIT_OK && t.len > 0)
        err = PLAIT_ERR_FORMAT;
    if (err == PLAIT_OK && v == 0)
        err = PLAIT_ERR_RANGE;
    if (err == PLAIT_OK)
        *port = (uint16_t)v;
    return err;
}

static bool has_bits_beyond(const struct plait_address *a, unsigned bits)
{
    for (unsigned i = bits; i < 128; i++)
        if ((a->bytes[i / 8] & (0x80u >> (i % 8))) != 0)
            return true;
    return false;
}

/* An address, or one with a slash and a length. PLAIT_ERR_NOTFOUND where it begins with no address. */
static int parse_prefix(struct plait_text t, bool bracketed, struct plait_allow_rule *rule)
{
    struct plait_text address = plait_text_first(t, plait_text_find(t, '/'));
    uint64_t length;

    if (plait_address_parse(address.at, address.len, &rule->prefix) != PLAIT_OK)
        return PLAIT_ERR_NOTFOUND;
    bool v4 = plait_text_find(address, ':') == address.len;
    if (v4 == bracketed)
        return PLAIT_ERR_FORMAT;
    plait_text_skip(&t, address.len);
    length = v4 ? 32 : 128;
    if (plait_text_take_char(&t, '/')) {
        int err = plait_text_take_u64(&t, length, &length);
        if (err != PLAIT_OK)
            return err;
    }
    if (t.len > 0)
        return PLAIT_ERR_FORMAT;
    rule->bits = (uint8_t)(v4 ? V4_BITS + length : length);
    if (!v4 && plait_address_is_v4(&rule->prefix))
        return PLAIT_ERR_FORMAT; /* to be written as the IPv4 address that it is */
    if (has_bits_beyond(&rule->prefix, rule->bits))
        return PLAIT_ERR_RANGE;
    rule->is_private = is_private_prefix(&rule->prefix, rule->bits);
    return PLAIT_OK;
}

static int parse_host(struct plait_text host, struct plait_allow_rule *rule)
{
    bool bracketed = plait_text_take_char(&host, '[');

    if (bracketed) {
        if (host.len == 0 || host.at[host.len - 1] != ']')
            return PLAIT_ERR_FORMAT;
        host.len--;
    }
    int err = parse_prefix(host, bracketed, rule);
    if (err != PLAIT_ERR_NOTFOUND)
        return err;
    return bracketed ? PLAIT_ERR_FORMAT : plait_host_name(host.at, host.len, rule->name);
}

static int parse_rule(const char *text, struct plait_allow_rule *rule)
{
    const char *colon = strrchr(text, ':');

    memset(rule, 0, sizeof *rule);
    if (colon == NULL || strlen(text) >= PLAIT_ALLOW_TEXT_MAX)
        return PLAIT_ERR_FORMAT;
    int err = parse_port(plait_text_of(colon + 1, strlen(colon + 1)), &rule->port);
    return err != PLAIT_OK ? err : parse_host(plait_text_of(text, (size_t)(colon - text)), rule);
}

int plait_allow_add(struct plait_allow *a, const char *text)
{
    struct plait_allow_rule rule;
    int err = parse_rule(text, &rule);

    if (err != PLAIT_OK)
        return err;
    if (a->count == PLAIT_ALLOW_RULES_MAX)
        return PLAIT_ERR_LIMIT;
    struct plait_allow_rule *more = reallocarray(a->rules, a->count + 1, sizeof rule);
    if (more == NULL)
        return PLAIT_ERR_NOMEM;
    a->rules = more;
    a->rules[a->count++] = rule;
    return PLAIT_OK;
}

void plait_allow_done(struct plait_allow *a)
{
    free(a->rules);
    memset(a, 0, sizeof *a);
}

const char *plait_allow_text(const struct plait_allow_rule *rule, char out[PLAIT_ALLOW_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN], length[8] = "", port[6] = "*";
    bool v4 = plait_address_is_v4(&rule->prefix) && rule->bits >= V4_BITS;

    if (rule->port != 0)
        snprintf(port, sizeof port, "%u", rule->port);
    if (rule->name[0] != '\0') {
        snprintf(out, PLAIT_ALLOW_TEXT_MAX, "%.253s:%s", rule->name, port);
        return out;
    }
    if (rule->bits < 128)
        snprintf(length, sizeof length, "/%u", (unsigned)(v4 ? rule->bits - V4_BITS : rule->bits));
    inet_ntop(v4 ? AF_INET : AF_INET6, rule->prefix.bytes + (v4 ? 12 : 0), host, sizeof host);
    snprintf(out, PLAIT_ALLOW_TEXT_MAX, v4 ? "%.60s%s:%s" : "[%.60s%s]:%s", host, length, port);
    return out;
}

static bool has_port(const struct plait_allow_rule *rule, uint16_t port)
{
    return rule->port == 0 || rule->port == port;
}

bool plait_allow_may_name(const struct plait_allow *a, const char *name, uint16_t port)
{
    for (size_t i = 0; i < a->count; i++)
        if (has_port(&a->rules[i], port) &&
            (a->rules[i].name[0] == '\0' || strcmp(a->rules[i].name, name) == 0))
            return true;
    return false;
}

static bool permits(const struct plait_allow_rule *rule, const char *name,
                    const struct plait_address *address, enum plait_address_class class, bool is_own)
{
    if (rule->name[0] != '\0')
        return name != NULL && strcmp(rule->name, name) == 0 && class == PLAIT_ADDRESS_PUBLIC && !is_own;
    if (plait_address_is_v4(address) != (rule->bits >= V4_BITS && plait_address_is_v4(&rule->prefix)) ||
        !same_bits(address->bytes, rule->prefix.bytes, rule->bits))
        return false;
    return class == PLAIT_ADDRESS_PRIVATE ? rule->is_private : !is_own || rule->bits == 128;
}

bool plait_allow_address(const struct plait_allow *a, const char *name, const struct plait_address *address,
                         uint16_t port, bool is_own)
{
    enum plait_address_class class = plait_address_class(address);

    if (class == PLAIT_ADDRESS_NEVER || port == 0)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (has_port(&a->rules[i], port) && permits(&a->rules[i], name, address, class, is_own))
            return true;
    return false;
}
