#include "holders.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "units.h"

static char *copy_text(const json_t *value, size_t max)
{
    const char *text = json_string_value(value);

    if (text == NULL || text[0] == '\0' || json_string_length(value) > max ||
        strlen(text) != json_string_length(value))
        return NULL;
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return NULL;
    return strdup(text);
}

static bool take_size(const json_t *o, uint64_t *size)
{
    const json_t *value = json_object_get(o, "size");

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *size = (uint64_t)json_integer_value(value);
    return true;
}

/* The strongest digest that is well-formed. */
static void take_digest(const json_t *digests, struct plait_digest *out)
{
    static const char *const names[] = {"sha-512", "sha-256"};
    char option[256];

    out->alg = PLAIT_DIGEST_NONE;
    for (size_t i = 0; i < PLAIT_COUNT(names) && out->alg == PLAIT_DIGEST_NONE; i++) {
        const char *hex = json_string_value(json_object_get(digests, names[i]));
        if (hex == NULL)
            continue;
        int len = snprintf(option, sizeof option, "%s=%s", names[i], hex);
        if (len < 0 || (size_t)len >= sizeof option)
            continue;
        if (plait_digest_parse_option(option, (size_t)len, out) != PLAIT_OK)
            out->alg = PLAIT_DIGEST_NONE;
    }
}

static bool fits(const json_t *version, uint64_t size, const struct plait_digest *digest)
{
    uint64_t stated;
    struct plait_digest own;

    if (size != UINT64_MAX && take_size(version, &stated) && stated != size)
        return false;
    take_digest(json_object_get(version, "digests"), &own);
    return digest->alg == PLAIT_DIGEST_NONE || own.alg != digest->alg || plait_digest_equal(&own, digest);
}

static void take_sources(const json_t *sources, struct plait_holders *out)
{
    for (size_t i = 0; i < json_array_size(sources) && out->url_count < PLAIT_HOLDERS_SOURCES_MAX; i++) {
        char *url = copy_text(json_object_get(json_array_get(sources, i), "url"), PLAIT_HOLDERS_URL_MAX);
        if (url != NULL)
            out->urls[out->url_count++] = url;
    }
}

/* A relay that wants a password is not for us: nobody has told us one. */
static void take_relay(const json_t *o, struct plait_holders *out)
{
    struct plait_holders_relay *r = &out->relays[out->relay_count];
    const json_t *reaches = json_object_get(o, "reaches");

    if (!json_is_true(json_object_get(o, "healthy")) || json_is_string(json_object_get(o, "auth")))
        return;
    *r = (struct plait_holders_relay){.url = copy_text(json_object_get(o, "url"), PLAIT_HOLDERS_URL_MAX)};
    if (r->url == NULL)
        return;
    for (size_t i = 0; i < json_array_size(reaches) && r->reach_count < PLAIT_HOLDERS_REACHES_MAX; i++) {
        char *reach = copy_text(json_array_get(reaches, i), PLAIT_HOLDERS_TEXT_MAX);
        if (reach != NULL)
            r->reaches[r->reach_count++] = reach;
    }
    out->relay_count++;
}

int plait_holders_parse(const char *json, size_t len, uint64_t size, const struct plait_digest *digest,
                        struct plait_holders *out)
{
    json_t *o = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *versions = json_object_get(o, "versions"), *routes = json_object_get(o, "routes");

    memset(out, 0, sizeof *out);
    if (!json_is_array(versions)) {
        json_decref(o);
        return PLAIT_ERR_FORMAT;
    }
    out->conflict = json_is_true(json_object_get(o, "conflict"));
    for (size_t i = 0; i < json_array_size(versions); i++) {
        const json_t *version = json_array_get(versions, i);
        if (!fits(version, size, digest))
            continue;
        out->has_size = take_size(version, &out->size);
        take_digest(json_object_get(version, "digests"), &out->digest);
        take_sources(json_object_get(version, "sources"), out);
        break;
    }
    for (size_t i = 0; i < json_array_size(routes) && out->relay_count < PLAIT_HOLDERS_RELAYS_MAX; i++)
        take_relay(json_array_get(routes, i), out);
    json_decref(o);
    return PLAIT_OK;
}

void plait_holders_done(struct plait_holders *l)
{
    for (size_t i = 0; i < l->url_count; i++)
        free(l->urls[i]);
    for (size_t i = 0; i < l->relay_count; i++) {
        for (size_t k = 0; k < l->relays[i].reach_count; k++)
            free(l->relays[i].reaches[k]);
        free(l->relays[i].url);
    }
    memset(l, 0, sizeof *l);
}

int plait_holders_change_parse(const char *json, size_t len, struct plait_holders_change *out)
{
    json_t *o = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);

    memset(out, 0, sizeof *out);
    out->url = copy_text(json_object_get(json_object_get(o, "source"), "url"), PLAIT_HOLDERS_URL_MAX);
    out->has_size = take_size(o, &out->size);
    take_digest(json_object_get(o, "digests"), &out->digest);
    json_decref(o);
    return out->url != NULL ? PLAIT_OK : PLAIT_ERR_FORMAT;
}

void plait_holders_change_done(struct plait_holders_change *c)
{
    free(c->url);
    memset(c, 0, sizeof *c);
}

/* ---- what a relay reaches ---- */

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned rest = bits % 8;

    if (memcmp(a, b, bits / 8) != 0)
        return false;
    return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

/* The address lies in the prefix, which may be a single address. */
static bool in_prefix(const char *prefix, const char *host)
{
    char address[INET6_ADDRSTRLEN];
    uint8_t a[16], b[16];
    size_t len = strcspn(prefix, "/");
    int family = strchr(prefix, ':') != NULL ? AF_INET6 : AF_INET;
    unsigned long most = family == AF_INET6 ? 128 : 32, bits = most;
    char *end = NULL;

    if (len >= sizeof address)
        return false;
    memcpy(address, prefix, len);
    address[len] = '\0';
    if (prefix[len] == '/')
        bits = strtoul(prefix + len + 1, &end, 10);
    if ((end != NULL && (*end != '\0' || end == prefix + len + 1)) || bits > most)
        return false;
    return inet_pton(family, address, a) == 1 && inet_pton(family, host, b) == 1 &&
           same_bits(a, b, (unsigned)bits);
}

bool plait_holders_reaches(const char *reach, const char *host, unsigned port)
{
    char name[PLAIT_HOLDERS_TEXT_MAX + 1];
    const char *colon = strrchr(reach, ':');
    size_t len = colon != NULL ? (size_t)(colon - reach) : 0;
    char *end = NULL;

    if (colon == NULL || len == 0 || len > PLAIT_HOLDERS_TEXT_MAX)
        return false;
    if (strcmp(colon + 1, "*") != 0 && (strtoul(colon + 1, &end, 10) != port || *end != '\0'))
        return false;
    if (reach[0] == '[' && reach[len - 1] == ']') {
        reach++;
        len -= 2;
    }
    memcpy(name, reach, len);
    name[len] = '\0';
    return strcasecmp(name, host) == 0 || in_prefix(name, host);
}
