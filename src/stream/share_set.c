#include "share_int.h"

void set_init(struct plait_share *s)
{
    for (uint16_t i = 1; i <= PLAIT_SHARE_RANGES_MAX; i++)
        s->ranges[i].next = i < PLAIT_SHARE_RANGES_MAX ? (uint16_t)(i + 1) : 0;
    s->range_free = 1;
    s->ranges_left = PLAIT_SHARE_RANGES_MAX;
    for (uint8_t letter = 0; letter < PLAIT_LETTERS; letter++)
        s->sets[letter].letter_1 = (uint8_t)(letter + 1);
}

static uint16_t range_new(struct plait_share *s, uint64_t lo, uint64_t hi, uint16_t next)
{
    uint16_t i = s->range_free;

    s->range_free = s->ranges[i].next;
    s->ranges_left--;
    s->ranges[i] = (struct range){lo, hi, next};
    return i;
}

/* Takes the range out to which *link points, which then points to the one after. */
static void range_free(struct plait_share *s, uint16_t *link)
{
    uint16_t i = *link;

    *link = s->ranges[i].next;
    s->ranges[i].next = s->range_free;
    s->range_free = i;
    s->ranges_left++;
}

/* The first block from `from` on that counts in a range of the set. */
static uint64_t next_of(const struct plait_share *s, const struct range_set *set, uint64_t from)
{
    return set->letter_1 > 0 ? plan_next(s, (uint8_t)(set->letter_1 - 1), from) : from;
}

/* Whether a range that ends before hi and one that begins at lo are the same as one. */
static bool is_joint(const struct plait_share *s, const struct range_set *set, uint64_t hi, uint64_t lo)
{
    return hi >= lo || next_of(s, set, hi) >= lo;
}

bool set_add(struct plait_share *s, struct range_set *set, uint64_t lo, uint64_t hi, unsigned spare)
{
    uint16_t *link = &set->head;

    if (lo >= hi)
        return true;
    while (*link != 0 && s->ranges[*link].hi < lo && !is_joint(s, set, s->ranges[*link].hi, lo))
        link = &s->ranges[*link].next;
    if (*link == 0 || (s->ranges[*link].lo > hi && !is_joint(s, set, hi, s->ranges[*link].lo))) {
        if (s->ranges_left <= spare)
            return false;
        *link = range_new(s, lo, hi, *link);
        return true;
    }
    struct range *r = &s->ranges[*link];
    r->lo = plait_min_u64(r->lo, lo);
    r->hi = plait_max_u64(r->hi, hi);
    while (r->next != 0 && is_joint(s, set, r->hi, s->ranges[r->next].lo)) {
        r->hi = plait_max_u64(r->hi, s->ranges[r->next].hi);
        range_free(s, &r->next);
    }
    return true;
}

bool set_remove(struct plait_share *s, struct range_set *set, uint64_t lo, uint64_t hi)
{
    uint16_t *link = &set->head;

    while (*link != 0 && s->ranges[*link].lo < hi) {
        struct range *r = &s->ranges[*link];
        if (r->lo < lo && r->hi > hi) {
            if (s->ranges_left == 0)
                return false;
            r->next = range_new(s, hi, r->hi, r->next);
            r->hi = lo;
            return true;
        }
        if (r->lo >= lo && r->hi <= hi) {
            range_free(s, link);
            continue;
        }
        if (r->lo < lo)
            r->hi = plait_min_u64(r->hi, lo);
        else
            r->lo = plait_max_u64(r->lo, hi);
        link = &r->next;
    }
    return true;
}

uint64_t set_next(const struct plait_share *s, const struct range_set *set, uint64_t from)
{
    for (uint16_t i = set->head; i != 0; i = s->ranges[i].next) {
        const struct range *r = &s->ranges[i];
        if (r->hi <= from)
            continue;
        uint64_t block = next_of(s, set, plait_max_u64(r->lo, from));
        if (block < r->hi)
            return block;
    }
    return NO_BLOCK;
}

uint64_t set_count(const struct plait_share *s, const struct range_set *set, uint64_t lo, uint64_t hi,
                   uint64_t enough)
{
    uint64_t count = 0;

    for (uint16_t i = set->head; i != 0 && count <= enough; i = s->ranges[i].next) {
        uint64_t from = plait_max_u64(s->ranges[i].lo, lo);
        uint64_t to = plait_min_u64(s->ranges[i].hi, hi);
        if (from < to)
            count += set->letter_1 > 0 ? plan_count(s, (uint8_t)(set->letter_1 - 1), from, to) : to - from;
    }
    return count;
}

void set_take(struct plait_share *s, struct range_set *set, uint64_t block)
{
    uint16_t *link = &set->head;

    while (s->ranges[*link].hi <= block)
        link = &s->ranges[*link].next;
    struct range *r = &s->ranges[*link];
    /* Below lies what this connection may not send. It stays for others, or is given up for want of room. */
    if (next_of(s, set, r->lo) < block) {
        if (s->ranges_left > 0) {
            *link = range_new(s, r->lo, block, *link);
            link = &s->ranges[*link].next;
        } else {
            s->dropped_blocks += set_count(s, set, r->lo, block, NO_BLOCK - 1);
        }
    }
    r->lo = block + 1;
    if (r->lo == r->hi || next_of(s, set, r->lo) >= r->hi)
        range_free(s, link);
}
