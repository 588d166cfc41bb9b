#include "quantity.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "decimal.h"
#include "units.h"

int plait_quantity_parse_bytes(const char *text, uint64_t *bytes)
{
    static const char units[] = "kmgt";
    double value;
    const char *end, *unit;
    int err = plait_decimal_parse(text, &value, &end);

    if (err != PLAIT_OK)
        return err;
    unit = *end != '\0' ? strchr(units, tolower((unsigned char)*end)) : NULL;
    for (const char *u = units; unit != NULL && u <= unit; u++)
        value *= 1024;
    if (unit != NULL)
        end++;
    if (*end != '\0' && strcasecmp(end, "b") != 0 && (unit == NULL || strcasecmp(end, "ib") != 0))
        return PLAIT_ERR_FORMAT;
    if (value < 1 || value > 0x1p62)
        return PLAIT_ERR_RANGE;
    *bytes = (uint64_t)value;
    return PLAIT_OK;
}

int plait_quantity_parse_seconds(const char *text, uint64_t *ns)
{
    double value;
    const char *end;
    int err = plait_decimal_parse(text, &value, &end);

    if (err != PLAIT_OK)
        return err;
    if (*end != '\0' && strcmp(end, "s") != 0)
        return PLAIT_ERR_FORMAT;
    if (value < 1e-3 || value > 366.0 * 86400)
        return PLAIT_ERR_RANGE;
    *ns = (uint64_t)(value * 1e9);
    return PLAIT_OK;
}

const char *plait_quantity_bytes(double bytes, char out[PLAIT_QUANTITY_MAX])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;

    while (bytes >= 999.95 && unit + 1 < PLAIT_COUNT(units)) {
        bytes /= 1000;
        unit++;
    }
    snprintf(out, PLAIT_QUANTITY_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return out;
}

const char *plait_quantity_time(uint64_t ns, char out[PLAIT_QUANTITY_MAX])
{
    unsigned long s = (unsigned long)(ns / PLAIT_S);

    if (s >= 100 * 3600UL)
        out[0] = '\0';
    else if (s >= 3600)
        snprintf(out, PLAIT_QUANTITY_MAX, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, PLAIT_QUANTITY_MAX, "%lu:%02lu", s / 60, s % 60);
    return out;
}
