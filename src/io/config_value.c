/* The typed values of a configuration. */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config.h"
#include "decimal.h"
#include "units.h"

#define RATE_HINT "allowed: bits a second as in 800k, 10M or 2.5G"
#define TIME_HINT "allowed: a time as in 300ms, 5s, 5m, 2h or 1d"

/* A decimal and perhaps one of `units`, each a thousand times the one before. */
static int parse_scaled(const char *text, const char *units, double *value, const char **end)
{
    int err = plait_decimal_parse(text, value, end);
    const char *unit;

    if (err != PLAIT_OK || **end == '\0')
        return err;
    unit = strchr(units, tolower((unsigned char)**end));
    if (unit == NULL)
        return PLAIT_OK;
    for (const char *u = units; u <= unit; u++)
        *value *= 1000;
    (*end)++;
    return PLAIT_OK;
}

static bool is_one_of(const char *text, const char *a, const char *b, const char *c, const char *d)
{
    return strcasecmp(text, a) == 0 || strcasecmp(text, b) == 0 || strcasecmp(text, c) == 0 ||
           strcmp(text, d) == 0;
}

int plait_config_get_text(struct plait_config_section *s, const char *key, char *out, size_t size)
{
    const char *text = plait_config_text(s, key);

    if (text == NULL)
        return PLAIT_OK;
    if (text[0] == '\0' || strlen(text) >= size)
        return plait_config_fail(s, key, 0, "from 1 to %zu characters", size - 1);
    memcpy(out, text, strlen(text) + 1);
    return PLAIT_OK;
}

int plait_config_get_flag(struct plait_config_section *s, const char *key, bool *out)
{
    const char *text = plait_config_text(s, key);

    if (text == NULL)
        return PLAIT_OK;
    if (!is_one_of(text, "yes", "true", "on", "1") && !is_one_of(text, "no", "false", "off", "0"))
        return plait_config_fail(s, key, 0, "allowed: yes or no");
    *out = is_one_of(text, "yes", "true", "on", "1");
    return PLAIT_OK;
}

static int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (*text == '\0')
        return PLAIT_ERR_FORMAT;
    for (; *text != '\0'; text++) {
        if (!isdigit((unsigned char)*text))
            return PLAIT_ERR_FORMAT;
        if (value > (UINT64_MAX - 9) / 10)
            return PLAIT_ERR_RANGE;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    if (value < min || value > max)
        return PLAIT_ERR_RANGE;
    *out = value;
    return PLAIT_OK;
}

int plait_config_get_number(struct plait_config_section *s, const char *key, uint64_t min, uint64_t max,
                            uint64_t *out)
{
    const char *text = plait_config_text(s, key);

    if (text == NULL || parse_u64(text, min, max, out) == PLAIT_OK)
        return PLAIT_OK;
    return plait_config_fail(s, key, 0, "allowed: a number from %llu to %llu", (unsigned long long)min,
                             (unsigned long long)max);
}

int plait_config_get_choice(struct plait_config_section *s, const char *key, const char *const *words,
                            size_t *out)
{
    const char *text = plait_config_text(s, key);
    char list[256] = "";

    if (text == NULL)
        return PLAIT_OK;
    for (size_t i = 0; words[i] != NULL; i++) {
        size_t used = strlen(list);
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return PLAIT_OK;
        }
        snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    return plait_config_fail(s, key, 0, "allowed: %s", list);
}

int plait_config_parse_rate(const char *text, double *bytes_per_s)
{
    double bits;
    const char *end;
    int err = parse_scaled(text, "kmg", &bits, &end);

    if (err != PLAIT_OK)
        return err;
    if (*end != '\0' && strcasecmp(end, "bit") != 0 && strcasecmp(end, "bit/s") != 0)
        return PLAIT_ERR_FORMAT;
    if (bits < 1000 || bits > 1e12)
        return PLAIT_ERR_RANGE;
    *bytes_per_s = bits / 8;
    return PLAIT_OK;
}

int plait_config_get_rate(struct plait_config_section *s, const char *key, double *bytes_per_s)
{
    const char *text = plait_config_text(s, key);

    if (text == NULL || plait_config_parse_rate(text, bytes_per_s) == PLAIT_OK)
        return PLAIT_OK;
    return plait_config_fail(s, key, 0, RATE_HINT);
}

static int parse_weight(const char *text, double *out)
{
    double value;
    const char *end;
    int err = plait_decimal_parse(text, &value, &end);

    if (err != PLAIT_OK || *end != '\0')
        return PLAIT_ERR_FORMAT;
    if (value <= 0 || value > 1e9)
        return PLAIT_ERR_RANGE;
    *out = value;
    return PLAIT_OK;
}

/* DOWN/UP, or one for both. */
static int parse_pair(const char *text, int (*parse)(const char *, double *), double *down, double *up)
{
    char first[32];
    size_t len = strcspn(text, "/");
    double a = 0, b;
    int err;

    while (len > 0 && isblank((unsigned char)text[len - 1]))
        len--;
    if (len >= sizeof first)
        return PLAIT_ERR_FORMAT;
    memcpy(first, text, len);
    first[len] = '\0';
    err = parse(first, &a);
    const char *slash = strchr(text, '/');
    b = a;
    if (err == PLAIT_OK && slash != NULL)
        err = parse(slash + 1 + strspn(slash + 1, " \t"), &b);
    if (err != PLAIT_OK)
        return err;
    *down = a;
    *up = b;
    return PLAIT_OK;
}

int plait_config_get_rates(struct plait_config_section *s, const char *key, double *down, double *up)
{
    const char *text = plait_config_text(s, key);

    if (text == NULL || parse_pair(text, plait_config_parse_rate, down, up) == PLAIT_OK)
        return PLAIT_OK;
    return plait_config_fail(s, key, 0, RATE_HINT ", or DOWN/UP as in 50M/10M");
}

int plait_config_get_weights(struct plait_config_section *s, const char *key, double *down, double *up)
{
    const char *text = plait_config_text(s, key);

    if (text == NULL)
        return PLAIT_OK;
    if (strcmp(text, "auto") == 0) {
        *down = *up = 0;
        return PLAIT_OK;
    }
    if (parse_pair(text, parse_weight, down, up) == PLAIT_OK)
        return PLAIT_OK;
    return plait_config_fail(s, key, 0, "allowed: auto, a number above 0, or DOWN/UP as in 5/1");
}

int plait_config_get_quota(struct plait_config_section *s, const char *key, uint64_t *bytes,
                           enum plait_config_period *period)
{
    static const char *const words[] = {"day", "week", "month"};
    const char *text = plait_config_text(s, key), *end;
    double value;

    if (text == NULL)
        return PLAIT_OK;
    if (parse_scaled(text, "kmgt", &value, &end) == PLAIT_OK && value >= 1 && value <= 1e18) {
        end += *end == 'B';
        for (size_t i = 0; *end == '/' && i < PLAIT_COUNT(words); i++) {
            if (strcmp(end + 1, words[i]) != 0)
                continue;
            *bytes = (uint64_t)value;
            *period = (enum plait_config_period)i;
            return PLAIT_OK;
        }
    }
    return plait_config_fail(s, key, 0,
                             "allowed: bytes in a day, week or month, as in 500M/day or 50G/month");
}

int plait_config_parse_time(const char *text, uint64_t *ns)
{
    static const struct {
        const char *unit;
        double s;
    } units[] = {{"ms", 1e-3}, {"", 1}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    double value;
    const char *end;
    int err = plait_decimal_parse(text, &value, &end);

    if (err != PLAIT_OK)
        return err;
    for (size_t i = 0; i < PLAIT_COUNT(units); i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        value *= units[i].s;
        if (value < 1e-3 || value > 366.0 * 86400)
            return PLAIT_ERR_RANGE;
        *ns = (uint64_t)(value * 1e9);
        return PLAIT_OK;
    }
    return PLAIT_ERR_FORMAT;
}

int plait_config_get_time(struct plait_config_section *s, const char *key, uint64_t *ns)
{
    const char *text = plait_config_text(s, key);

    if (text == NULL || plait_config_parse_time(text, ns) == PLAIT_OK)
        return PLAIT_OK;
    return plait_config_fail(s, key, 0, TIME_HINT);
}

/* ADDRESS or ADDRESS/BITS. */
static int parse_address(const char *text, struct plait_prefix *out)
{
    struct plait_prefix p = {0};
    char address[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "/");
    uint64_t bits;

    if (len >= sizeof address)
        return PLAIT_ERR_FORMAT;
    memcpy(address, text, len);
    address[len] = '\0';
    p.family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    if (inet_pton(p.family, address, p.address) != 1)
        return PLAIT_ERR_FORMAT;
    p.bits = p.family == AF_INET ? 32 : 128;
    if (text[len] == '/') {
        if (parse_u64(text + len + 1, 0, p.bits, &bits) != PLAIT_OK)
            return PLAIT_ERR_RANGE;
        p.bits = (unsigned)bits;
    }
    *out = p;
    return PLAIT_OK;
}

int plait_config_parse_prefix(const char *text, struct plait_prefix *out)
{
    struct plait_prefix p;
    int err = parse_address(text, &p);

    if (err != PLAIT_OK)
        return err;
    for (unsigned bit = p.bits; bit < 128; bit++)
        if ((p.address[bit / 8] & (0x80 >> bit % 8)) != 0)
            return PLAIT_ERR_RANGE;
    *out = p;
    return PLAIT_OK;
}

int plait_config_get_prefix(struct plait_config_section *s, const char *key, struct plait_prefix *out)
{
    const char *text = plait_config_text(s, key);

    if (text == NULL || plait_config_parse_prefix(text, out) == PLAIT_OK)
        return PLAIT_OK;
    return plait_config_fail(
        s, key, 0, "allowed: a network as in 10.77.0.0/16 or fd00:77::/64, with nothing behind its bits");
}

int plait_config_get_address(struct plait_config_section *s, const char *key, struct plait_prefix *out)
{
    const char *text = plait_config_text(s, key);

    if (text == NULL || parse_address(text, out) == PLAIT_OK)
        return PLAIT_OK;
    return plait_config_fail(s, key, 0, "allowed: an address of IPv4 or IPv6, perhaps with /BITS");
}

static bool is_host(const char *text, size_t len)
{
    if (len == 0 || len >= PLAIT_CONFIG_HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("._-", text[i]) == NULL)
            return false;
    return true;
}

static int parse_port(const char *text, uint16_t default_port, uint16_t *out)
{
    uint64_t port = default_port;

    if (*text == '\0' && default_port != 0)
        *out = default_port;
    else if (*text == ':' && parse_u64(text + 1, 1, UINT16_MAX, &port) == PLAIT_OK)
        *out = (uint16_t)port;
    else
        return PLAIT_ERR_FORMAT;
    return PLAIT_OK;
}

int plait_config_parse_endpoint(const char *text, uint16_t default_port, struct plait_config_endpoint *out)
{
    struct plait_config_endpoint e = {0};
    struct in6_addr v6;
    const char *host = text, *end;
    size_t len;

    if (text[0] == '[') {
        end = strchr(++host, ']');
        len = end != NULL ? (size_t)(end - host) : 0;
        if (end == NULL || len >= sizeof e.host)
            return PLAIT_ERR_FORMAT;
        memcpy(e.host, host, len);
        if (inet_pton(AF_INET6, e.host, &v6) != 1)
            return PLAIT_ERR_FORMAT;
        end++;
    } else {
        len = strcspn(text, ":");
        end = text + len;
        if (!is_host(text, len))
            return PLAIT_ERR_FORMAT;
        memcpy(e.host, text, len);
    }
    if (parse_port(end, default_port, &e.port) != PLAIT_OK)
        return PLAIT_ERR_FORMAT;
    *out = e;
    return PLAIT_OK;
}

int plait_config_get_endpoint(struct plait_config_section *s, const char *key, uint16_t default_port,
                              struct plait_config_endpoint *out)
{
    const char *text = plait_config_text(s, key);

    if (text == NULL || plait_config_parse_endpoint(text, default_port, out) == PLAIT_OK)
        return PLAIT_OK;
    return plait_config_fail(s, key, 0,
                             default_port != 0 ? "allowed: HOST, HOST:PORT, ADDRESS:PORT or [IPv6]:PORT"
                                               : "allowed: HOST:PORT, ADDRESS:PORT or [IPv6]:PORT");
}

int plait_config_word(const char **at, char *out, size_t size)
{
    const char *word = *at + strspn(*at, ", \t");
    size_t len = strcspn(word, ", \t");

    if (len == 0)
        return PLAIT_ERR_NOTFOUND;
    if (len >= size)
        return PLAIT_ERR_LIMIT;
    memcpy(out, word, len);
    out[len] = '\0';
    *at = word + len;
    return PLAIT_OK;
}
