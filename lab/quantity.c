#include "quantity.h"
#include "units.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    double factor;
};

static const struct unit rates[] = {{"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {NULL, 0}};
static const struct unit times[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {NULL, 0}};
static const struct unit sizes[] = {{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {NULL, 0}};
static const struct unit shares[] = {{"%", 0.01}, {"", 1}, {NULL, 0}};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

static int quantity(const char *text, const struct unit *units, double *out)
{
    if (!isdigit((unsigned char)text[0]))
        return PLAIT_ERR_FORMAT;
    char *rest;
    double number = strtod(text, &rest);
    if (!isfinite(number))
        return PLAIT_ERR_RANGE;
    for (const struct unit *u = units; u->name; u++) {
        if (strcasecmp(rest, u->name) == 0) {
            *out = number * u->factor;
            return 0;
        }
    }
    return PLAIT_ERR_FORMAT;
}

static int whole(const char *text, const struct unit *units, double lo, double hi, uint64_t *out)
{
    double value = 0;
    int err = quantity(text, units, &value);
    if (err)
        return err;
    if (value < lo || value > hi)
        return PLAIT_ERR_RANGE;
    *out = (uint64_t)llround(value);
    return 0;
}

int lab_quantity_rate(const char *text, uint64_t *bps)
{
    return whole(text, rates, 1, 1e11, bps);
}

int lab_quantity_time(const char *text, uint64_t *ns)
{
    return whole(strcmp(text, "0") == 0 ? "0s" : text, times, 0, 3600e9, ns);
}

int lab_quantity_size(const char *text, uint64_t *bytes)
{
    return whole(text, sizes, 1, 1e9, bytes);
}

int lab_quantity_share(const char *text, double *share)
{
    double value = 0;
    int err = quantity(text, shares, &value);
    if (err)
        return err;
    if (value > 1)
        return PLAIT_ERR_RANGE;
    *share = value;
    return 0;
}

int lab_quantity_number(const char *text, double lo, double hi, double *out)
{
    double value = 0;
    int err = quantity(text, plain, &value);
    if (err)
        return err;
    if (value < lo || value > hi)
        return PLAIT_ERR_RANGE;
    *out = value;
    return 0;
}
