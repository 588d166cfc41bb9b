#include "range.h"

#include <stdbool.h>
#include <string.h>

#include "text.h"
#include "units.h"

/* Takes the digits there are; a number too large for any stream counts as the largest. False without a digit.
 */
static bool take_number(struct plait_text *t, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;

    for (; i < t->len && t->at[i] >= '0' && t->at[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(t->at[i] - '0');
        v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
    }
    plait_text_skip(t, i);
    *out = v;
    return i > 0;
}

/* One range as it was written. Where it holds no byte of the stream, lo and hi are equal. */
static int take_range(struct plait_text *t, uint64_t size, struct plait_range *out)
{
    uint64_t first, last;

    if (plait_text_take_char(t, '-')) {
        if (!take_number(t, &last))
            return PLAIT_ERR_FORMAT;
        *out = (struct plait_range){size - plait_min_u64(last, size), size};
        return PLAIT_OK;
    }
    if (!take_number(t, &first) || !plait_text_take_char(t, '-'))
        return PLAIT_ERR_FORMAT;
    if (!take_number(t, &last))
        last = UINT64_MAX;
    if (last < first)
        return PLAIT_ERR_FORMAT;
    uint64_t hi = last < size ? last + 1 : size;
    *out = (struct plait_range){plait_min_u64(first, hi), hi};
    return PLAIT_OK;
}

static bool touches(const struct plait_range *a, const struct plait_range *b)
{
    return a->lo <= b->hi && b->lo <= a->hi;
}

/*
 * Those in the set do not touch one another, so joining the new one to some of them cannot make it touch
 * another: one pass is enough.
 */
static void add(struct plait_range_set *set, struct plait_range r)
{
    struct plait_range joined = r;
    size_t kept = 0, place = set->count;

    for (size_t i = 0; i < set->count; i++) {
        struct plait_range other = set->at[i];
        if (!touches(&other, &r)) {
            set->at[kept++] = other;
            continue;
        }
        joined.lo = plait_min_u64(joined.lo, other.lo);
        joined.hi = plait_max_u64(joined.hi, other.hi);
        if (place == set->count)
            place = kept++;
    }
    if (place == set->count)
        place = kept++;
    set->at[place] = joined;
    set->count = kept;
}

static int take_set(struct plait_text t, uint64_t size, struct plait_range_set *set)
{
    size_t named = 0;

    for (;;) {
        struct plait_range r;
        plait_text_skip_space(&t);
        if (plait_text_take_char(&t, ',')) /* RFC 9110 section 5.6.1: empty elements are passed over */
            continue;
        if (t.len == 0)
            break;
        int rc = take_range(&t, size, &r);
        if (rc != PLAIT_OK)
            return rc;
        plait_text_skip_space(&t);
        if (t.len > 0 && *t.at != ',')
            return PLAIT_ERR_FORMAT;
        if (++named > PLAIT_RANGE_COUNT_MAX)
            return PLAIT_ERR_LIMIT;
        if (r.lo < r.hi)
            add(set, r);
    }
    if (named == 0)
        return PLAIT_ERR_FORMAT;
    return set->count > 0 ? PLAIT_OK : PLAIT_ERR_RANGE;
}

int plait_range_parse(const char *s, size_t len, uint64_t size, struct plait_range_set *out)
{
    struct plait_text t = plait_text_trim(plait_text_of(s, len));
    struct plait_text unit = plait_text_take_token(&t);
    struct plait_range_set set = {.count = 0};

    if (!plait_text_is(unit, "bytes") || !plait_text_take_char(&t, '='))
        return PLAIT_ERR_FORMAT;
    int rc = take_set(t, size, &set);
    if (rc == PLAIT_OK)
        *out = set;
    return rc;
}
