#include "shape.h"
#include "quantity.h"
#include "units.h"
#include <stdio.h>
#include <string.h>

typedef int apply_value(struct lab_shape *shape, const char *text);

static int apply_rate(struct lab_shape *shape, const char *text)
{
    return lab_quantity_rate(text, &shape->rate_bps);
}

static int apply_delay(struct lab_shape *shape, const char *text)
{
    return lab_quantity_time(text, &shape->delay_ns);
}

static int apply_rtt(struct lab_shape *shape, const char *text)
{
    int err = lab_quantity_time(text, &shape->delay_ns);
    if (!err)
        shape->delay_ns /= 2;
    return err;
}

static int apply_jitter(struct lab_shape *shape, const char *text)
{
    return lab_quantity_time(text, &shape->jitter_ns);
}

static int apply_queue(struct lab_shape *shape, const char *text)
{
    uint64_t ns = 0;
    if (lab_quantity_time(text, &ns) == 0 && ns > 0) {
        shape->queue_ns = ns;
        return 0;
    }
    int err = lab_quantity_size(text, &shape->queue_bytes);
    if (!err)
        shape->queue_ns = 0;
    return err;
}

static int apply_loss(struct lab_shape *shape, const char *text)
{
    return lab_quantity_share(text, &shape->loss);
}

static int apply_burst(struct lab_shape *shape, const char *text)
{
    return lab_quantity_number(text, 1, 10000, &shape->burst);
}

static const struct {
    const char *name;
    apply_value *apply;
    bool one_value; /* the same both ways by its nature */
    const char *form;
} settings[] = {
    {"rate", apply_rate, false, "a rate such as 20mbit or 40mbit/15mbit (down/up)"},
    {"rtt", apply_rtt, true, "a time such as 20ms; half of it each way"},
    {"delay", apply_delay, false, "a one-way time such as 10ms or 10ms/40ms (down/up)"},
    {"jitter", apply_jitter, false, "a time such as 10ms"},
    {"queue", apply_queue, false, "a time such as 100ms, or a size such as 64kB"},
    {"loss", apply_loss, false, "a share such as 1% or 0.01"},
    {"burst", apply_burst, false, "a mean number of packets, 1 or more"},
};

static const struct {
    const char *name;
    size_t field; /* offset of a bool in struct lab_shape */
    bool value;
} flags[] = {
    {"dead", offsetof(struct lab_shape, dead), true},
    {"alive", offsetof(struct lab_shape, dead), false},
    {"unplug", offsetof(struct lab_shape, unplugged), true},
    {"plug", offsetof(struct lab_shape, unplugged), false},
    {"reorder", offsetof(struct lab_shape, reorder), true},
    {"inorder", offsetof(struct lab_shape, reorder), false},
};

static bool apply_flag(struct lab_shape shape[LAB_WAYS], const char *word)
{
    for (size_t i = 0; i < PLAIT_COUNT(flags); i++) {
        if (strcmp(word, flags[i].name) != 0)
            continue;
        for (int way = 0; way < LAB_WAYS; way++)
            *(bool *)((char *)&shape[way] + flags[i].field) = flags[i].value;
        return true;
    }
    return false;
}

/* "V" sets both ways, "V/W" down and up. */
static int apply_values(struct lab_shape shape[LAB_WAYS], size_t setting, const char *text)
{
    char down[64];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof down || (slash && settings[setting].one_value))
        return PLAIT_ERR_FORMAT;
    memcpy(down, text, len);
    down[len] = '\0';
    int err = settings[setting].apply(&shape[LAB_DOWN], down);
    return err ? err : settings[setting].apply(&shape[LAB_UP], slash ? slash + 1 : down);
}

/* Applies one setting or flag; returns how many words it took, or an error. */
static int apply_next(struct lab_shape shape[LAB_WAYS], char *const words[], size_t count,
                      char why[LAB_WHY_MAX])
{
    if (apply_flag(shape, words[0]))
        return 1;
    for (size_t i = 0; i < PLAIT_COUNT(settings); i++) {
        if (strcmp(words[0], settings[i].name) != 0)
            continue;
        if (count >= 2 && apply_values(shape, i, words[1]) == 0)
            return 2;
        snprintf(why, LAB_WHY_MAX, "%s %s: expected %s", words[0], count >= 2 ? words[1] : "(nothing)",
                 settings[i].form);
        return PLAIT_ERR_FORMAT;
    }
    snprintf(why, LAB_WHY_MAX,
             "unknown word '%s': expected rate, rtt, delay, jitter, queue, loss, burst, dead, alive, unplug, "
             "plug, "
             "reorder or inorder",
             words[0]);
    return PLAIT_ERR_FORMAT;
}

void lab_shape_init(struct lab_shape shape[LAB_WAYS])
{
    for (int way = 0; way < LAB_WAYS; way++)
        shape[way] = (struct lab_shape){.queue_ns = 100 * PLAIT_MS, .burst = 1};
}

int lab_shape_apply(struct lab_shape shape[LAB_WAYS], char *const words[], size_t count,
                    char why[LAB_WHY_MAX])
{
    struct lab_shape next[LAB_WAYS] = {shape[LAB_DOWN], shape[LAB_UP]};
    for (size_t at = 0; at < count;) {
        int took = apply_next(next, words + at, count - at, why);
        if (took < 0)
            return took;
        at += (size_t)took;
    }
    memcpy(shape, next, sizeof next);
    return 0;
}

uint64_t lab_shape_queue_bytes(const struct lab_shape *shape)
{
    if (!shape->rate_bps)
        return UINT64_MAX;
    if (!shape->queue_ns)
        return shape->queue_bytes;
    return (uint64_t)((double)shape->queue_ns * (double)shape->rate_bps / 8e9);
}
