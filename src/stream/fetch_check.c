/*
 * Copies compared, and who is believed.
 *
 *   check      a block that comes from two sources: a seam (the bytes before a request) or an audit (a
 * request of its own) tribunal   two copies differ: every other source is asked for the block, the majority
 * is believed bench      no majority, but a digest is known: the less preferred source waits, in case the
 * digest is not met condemn    a source was wrong: out, and its bytes are fetched again
 */
#include <string.h>

#include "fetch_int.h"

#define HELD_NS        (2 * PLAIT_S) /* how long sources that have not answered may still vote on the size */
#define TRIBUNAL_NS    (5 * PLAIT_S) /* likewise on a block */
#define AUDITS_WAITING (CHECKS_MAX / 2)
#define VET_S          0.05
#define VET_BYTES_MIN  1024
#define VET_TRIES_MAX  3

static void on_differ(struct plait_fetch *f, uint64_t now, int source_a, int source_b, uint64_t lo,
                      size_t len, const uint8_t *a, const uint8_t *b);
static void tribunal_decide(struct plait_fetch *f, uint64_t now);

/* ---- checks ---- */

static int free_check(struct plait_fetch *f)
{
    for (int i = 0; i < CHECKS_MAX; i++) {
        if (!f->checks[i].used)
            return i;
    }
    return NO_CHECK;
}

/* Copy what is already kept of the block; false where it is gone, not to come, or from `source_b` itself. */
static bool read_kept(struct plait_fetch *f, struct check *c)
{
    struct plait_extent e;

    for (uint64_t at = c->lo; at < c->lo + c->len; at = e.hi) {
        if (!plait_blockmap_at(&f->map, at, &e) || e.state == PLAIT_BLOCK_FREE)
            return false;
        if (e.state != PLAIT_BLOCK_DONE)
            continue;
        size_t skip = (size_t)(at - c->lo), n = (size_t)plait_min_u64(e.hi - at, c->len - skip);
        if (e.owner == c->source_b || (c->source_a != PLAIT_FETCH_NO_SOURCE && c->source_a != e.owner) ||
            f->config.store.read(f->config.store.ctx, at, c->a + skip, n) != PLAIT_OK)
            return false;
        c->source_a = e.owner;
        c->a_have += n;
    }
    return true;
}

int check_new(struct plait_fetch *f, uint64_t lo, size_t len, int source_b)
{
    int i = free_check(f);

    if (i == NO_CHECK || len == 0 || len > CHECK_BYTES_MAX)
        return NO_CHECK;
    struct check *c = &f->checks[i];
    c->used = true;
    c->vote = c->audit = c->waiting = false;
    c->source_a = PLAIT_FETCH_NO_SOURCE;
    c->source_b = source_b;
    c->lo = lo;
    c->len = len;
    c->a_have = c->b_have = 0;
    if (read_kept(f, c))
        return i;
    c->used = false;
    return NO_CHECK;
}

void check_drop(struct plait_fetch *f, int check)
{
    struct check *c = &f->checks[check];

    if (c->vote && c->source_b >= 0 && !f->tribunal.voted[c->source_b])
        f->tribunal.asked[c->source_b] = false; /* it may be asked again */
    c->used = false;
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        struct lane *l = fetch_lane(f, id);
        if (l->check == check)
            l->check = NO_CHECK;
    }
}

void check_leave(struct plait_fetch *f, int lane)
{
    struct lane *l = fetch_lane(f, lane);

    if (l->check != NO_CHECK && f->checks[l->check].b_have < f->checks[l->check].len)
        check_drop(f, l->check);
    l->check = NO_CHECK;
}

static void settle(struct plait_fetch *f, uint64_t now, int check)
{
    struct check *c = &f->checks[check];

    if (c->vote && c->b_have == c->len) {
        struct tribunal *t = &f->tribunal;
        t->voted[c->source_b] = true;
        t->votes_a += memcmp(c->b, t->a, c->len) == 0;
        t->votes_b += memcmp(c->b, t->b, c->len) == 0;
        check_drop(f, check);
        tribunal_decide(f, now);
        return;
    }
    if (c->a_have < c->len || c->b_have < c->len)
        return;
    if (c->source_a != c->source_b && c->source_a != PLAIT_FETCH_NO_SOURCE) {
        bool same = memcmp(c->a, c->b, c->len) == 0;
        if (c->source_a >= OWNER_RESUMED && !same)
            fetch_fail(f, PLAIT_FETCH_FAIL_CHANGED); /* what an earlier run left is of another version */
        else if (same && c->source_a < OWNER_RESUMED &&
                 !(c->audit && c->lo == 0 && f->config.window_bytes > 0))
            f->sources[c->source_a].vetted = f->sources[c->source_b].vetted = true;
        else if (!same)
            on_differ(f, now, c->source_a, c->source_b, c->lo, c->len, c->a, c->b);
    }
    check_drop(f, check);
}

void check_feed_b(struct plait_fetch *f, uint64_t now, int check, uint64_t offset, const uint8_t *bytes,
                  size_t len)
{
    struct check *c = &f->checks[check];

    memcpy(c->b + (offset - c->lo), bytes, len);
    c->b_have += len;
    settle(f, now, check);
}

void check_feed_a(struct plait_fetch *f, uint64_t now, int source, uint64_t offset, const uint8_t *bytes,
                  size_t len)
{
    for (int i = 0; i < CHECKS_MAX; i++) {
        struct check *c = &f->checks[i];
        uint64_t lo = plait_max_u64(offset, c->lo), hi = plait_min_u64(offset + len, c->lo + c->len);
        if (!c->used || c->vote || lo >= hi)
            continue;
        bool mixed = c->source_a != PLAIT_FETCH_NO_SOURCE && c->source_a != source;
        if (mixed || (source == c->source_b && !c->waiting)) {
            check_drop(f, i);
            continue;
        }
        c->source_a = source;
        memcpy(c->a + (lo - c->lo), bytes + (lo - offset), (size_t)(hi - lo));
        c->a_have += (size_t)(hi - lo);
        settle(f, now, i);
    }
}

bool check_again(struct plait_fetch *f, uint64_t now, int source, uint64_t offset, const uint8_t *bytes,
                 size_t len)
{
    uint8_t kept[CHECK_BYTES_MAX];
    struct plait_extent e;

    for (size_t done = 0; done < len;) {
        size_t n = (size_t)plait_min_u64(len - done, sizeof kept);
        int err = f->config.store.read(f->config.store.ctx, offset + done, kept, n);
        if (err == PLAIT_OK && memcmp(kept, bytes + done, n) != 0) {
            bool known = plait_blockmap_at(&f->map, offset + done, &e) && e.owner < OWNER_RESUMED;
            if ((!known || e.owner == source) && f->live.on)
                live_changed(f, source);
            else if (!known || e.owner == source)
                fetch_fail(f, PLAIT_FETCH_FAIL_CHANGED);
            else
                on_differ(f, now, e.owner, source, offset + done, n, kept, bytes + done);
            return false;
        }
        f->sources[source].agreed_bytes += err == PLAIT_OK ? n : 0;
        done += n;
    }
    f->sources[source].vetted |= f->live.on && f->sources[source].agreed_bytes >= VET_BYTES_MIN;
    return true;
}

/* ---- audits ---- */

static bool can_serve(const struct plait_fetch *f, int source)
{
    if (!source_usable(f, source) || f->sources[source].ranges == RANGES_NO)
        return false;
    for (int i = 0; i < f->path_count; i++) {
        if (f->paths[i].source == source && f->paths[i].state == PLAIT_FETCH_PATH_ACTIVE)
            return true;
    }
    return false;
}

static bool other_can_serve(const struct plait_fetch *f, int source)
{
    for (int i = 0; i < f->source_count; i++) {
        if (i != source && can_serve(f, i))
            return true;
    }
    return false;
}

static int audits_waiting(const struct plait_fetch *f)
{
    int n = 0;

    for (int i = 0; i < CHECKS_MAX; i++)
        n += f->checks[i].used && f->checks[i].waiting;
    return n;
}

static void new_audit(struct plait_fetch *f, uint64_t lo, size_t len, int source)
{
    int check = check_new(f, lo, len, PLAIT_FETCH_NO_SOURCE);

    if (check == NO_CHECK)
        return;
    f->checks[check].audit = f->checks[check].waiting = true;
    f->checks[check].meant_a = source;
}

void check_plan_audit(struct plait_fetch *f, uint64_t lo, uint64_t hi, int source)
{
    if (f->live.on) /* compared by looks */
        return;
    f->audit_debt += hi - lo;
    if (lo == 0 && f->config.window_bytes > 0 &&
        f->source_count > 1) /* what leaves first is compared first */
        new_audit(f, 0, (size_t)plait_min_u64(hi, SEAM_BYTES), source);
    if (f->audit_debt < AUDIT_EVERY || hi - lo < 2 * AUDIT_BYTES || audits_waiting(f) >= AUDITS_WAITING ||
        !other_can_serve(f, source))
        return;
    f->audit_debt = 0;
    new_audit(f, lo + plait_prng_below(&f->prng, hi - lo - AUDIT_BYTES), AUDIT_BYTES, source);
}

/* The path with the shortest round trip whose source could be asked to compare with `source`. */
static int auditor(const struct plait_fetch *f, int source)
{
    int best = -1;

    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        if (p->source == source || p->state != PLAIT_FETCH_PATH_ACTIVE || !can_serve(f, p->source))
            continue;
        if (best < 0 || p->est.rtt_min_ns < f->paths[best].est.rtt_min_ns)
            best = i;
    }
    return best;
}

static int vote_for(struct plait_fetch *f, int source)
{
    struct tribunal *t = &f->tribunal;

    if (source == t->source_a || source == t->source_b || t->asked[source])
        return NO_CHECK;
    int i = free_check(f);
    if (i == NO_CHECK)
        return NO_CHECK;
    f->checks[i].used = f->checks[i].vote = f->checks[i].audit = true;
    f->checks[i].waiting = false;
    f->checks[i].source_a = PLAIT_FETCH_NO_SOURCE;
    f->checks[i].lo = t->lo;
    f->checks[i].len = t->len;
    f->checks[i].a_have = f->checks[i].b_have = 0;
    t->asked[source] = true;
    return i;
}

int check_audit_for(struct plait_fetch *f, int path)
{
    if (f->tribunal.active) {
        int vote = vote_for(f, f->paths[path].source);
        if (vote != NO_CHECK)
            return vote;
    }
    for (int i = 0; i < CHECKS_MAX; i++) {
        struct check *c = &f->checks[i];
        int source = c->source_a != PLAIT_FETCH_NO_SOURCE ? c->source_a : c->meant_a;
        if (c->used && c->waiting && auditor(f, source) == path)
            return i;
    }
    return NO_CHECK;
}

/* Whether another source has been asked for bytes that came from `source`. */
static bool being_audited(const struct plait_fetch *f, int source)
{
    for (int i = 0; i < CHECKS_MAX; i++) {
        const struct check *c = &f->checks[i];
        if (c->used && c->audit && !c->vote && c->source_a == source)
            return true;
    }
    return false;
}

/* Order an audit of the first and the last bytes that came from `source`. */
static void vet(struct plait_fetch *f, int source, uint64_t now)
{
    struct plait_extent e, first = {0}, last = {0};
    int path = auditor(f, source);
    double soon = path < 0 ? 0 : path_rate(&f->paths[path], now) * VET_S; /* it is waited for */
    uint64_t most = plait_clamp_u64((uint64_t)soon, VET_BYTES_MIN, AUDIT_BYTES / 2);

    f->sources[source].vet_tries++;
    for (uint64_t from = 0; plait_blockmap_find(&f->map, from, PLAIT_BLOCK_DONE, &e); from = e.hi) {
        if (e.owner != source)
            continue;
        last = e;
        if (first.hi == 0)
            first = e;
    }
    size_t head = (size_t)plait_min_u64(first.hi - first.lo, most),
           tail = (size_t)plait_min_u64(last.hi - last.lo, most);
    if (tail > 0)
        new_audit(f, last.hi - tail, tail, source);
    if (head > 0 && first.lo + head <= last.hi - tail)
        new_audit(f, first.lo, head, source);
}

bool checks_settled(struct plait_fetch *f, uint64_t now)
{
    bool settled = !f->tribunal.active;

    for (int i = 0; i < f->source_count; i++) {
        struct source *s = &f->sources[i];
        if (s->out || s->vetted || s->kept_bytes == 0 || !other_can_serve(f, i))
            continue;
        if (!being_audited(f, i) && s->vet_tries < VET_TRIES_MAX)
            vet(f, i, now);
        settled &= !being_audited(f, i);
    }
    return settled;
}

void checks_forget_source(struct plait_fetch *f, int source)
{
    for (int i = 0; i < CHECKS_MAX; i++) {
        struct check *c = &f->checks[i];
        if (c->used && (c->source_a == source || c->source_b == source))
            check_drop(f, i);
    }
}

/* ---- the tribunal ---- */

static void on_differ(struct plait_fetch *f, uint64_t now, int source_a, int source_b, uint64_t lo,
                      size_t len, const uint8_t *a, const uint8_t *b)
{
    struct tribunal *t = &f->tribunal;

    if (t->active)
        return; /* one at a time; whoever is wrong will be seen again */
    memset(t, 0, sizeof *t);
    t->active = true;
    t->source_a = source_a;
    t->source_b = source_b;
    t->lo = lo;
    t->since = now;
    t->len = len;
    memcpy(t->a, a, len);
    memcpy(t->b, b, len);
    f->replan = true;
    fetch_event(
        f, (struct plait_fetch_event){
               .kind = PLAIT_FETCH_EV_DIFFERS, .source = source_b, .other_source = source_a, .bytes = lo});
    tribunal_decide(f, now);
}

static unsigned votes_to_come(const struct plait_fetch *f, uint64_t now)
{
    const struct tribunal *t = &f->tribunal;
    unsigned n = 0;

    if (now - t->since > TRIBUNAL_NS)
        return 0;
    for (int i = 0; i < f->source_count; i++) {
        bool party = i == t->source_a || i == t->source_b;
        n += !party && !t->voted[i] && source_usable(f, i) && f->sources[i].ranges != RANGES_NO;
    }
    return n;
}

/* No majority. The digest will tell if there is one; otherwise a person has to. */
static void undecided(struct plait_fetch *f, int a, int b, uint64_t offset, enum plait_fetch_fail why)
{
    if (!f->config.digest_known) {
        f->conflict_a = a;
        f->conflict_b = b;
        f->conflict_offset = offset;
        fetch_fail(f, why);
        return;
    }
    int less = f->sources[b].priority >= f->sources[a].priority ? b : a;
    f->sources[less].benched = true;
    source_condemn(f, less);
}

static void tribunal_decide(struct plait_fetch *f, uint64_t now)
{
    struct tribunal *t = &f->tribunal;
    unsigned open = votes_to_come(f, now);

    if (!t->active)
        return;
    if (f->sources[t->source_a].out || f->sources[t->source_b].out) {
        t->active = false; /* settled by other means */
    } else if (t->votes_a > t->votes_b + open) {
        t->active = false;
        source_condemn(f, t->source_b);
    } else if (t->votes_b > t->votes_a + open) {
        t->active = false;
        source_condemn(f, t->source_a);
    } else if (open == 0) {
        t->active = false;
        undecided(f, t->source_a, t->source_b, t->lo, PLAIT_FETCH_FAIL_CONFLICT);
    }
    for (int i = 0; i < CHECKS_MAX && !t->active; i++) {
        if (f->checks[i].used && f->checks[i].vote)
            check_drop(f, i);
    }
}

void checks_after_loss(struct plait_fetch *f, uint64_t now)
{
    tribunal_decide(f, now);
}

/* ---- condemned ---- */

static void unpin(struct plait_fetch *f, int source)
{
    for (int i = f->pin_count - 1; i >= 0; i--) {
        if (f->pins[i].source == source)
            f->pins[i] = f->pins[--f->pin_count];
    }
}

void source_condemn(struct plait_fetch *f, int source)
{
    struct source *s = &f->sources[source];
    uint64_t bytes = 0;

    if (s->out && s->condemned)
        return;
    s->condemned = true;
    if (!fetch_take_back(f, 0, f->map.size, source, &bytes) || s->left)
        fetch_fail(f, PLAIT_FETCH_FAIL_TAINTED);
    s->kept_bytes = 0;
    unpin(f, source);
    fetch_event(
        f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_CONDEMNED, .source = source, .bytes = bytes});
    source_out(f, source);
}

bool pin_allows(const struct plait_fetch *f, int source, uint64_t offset, uint64_t *until)
{
    *until = PLAIT_FETCH_UNKNOWN;
    for (int i = 0; i < f->pin_count; i++) {
        const struct pin *pin = &f->pins[i];
        if (offset >= pin->lo && offset < pin->hi) {
            *until = pin->hi;
            return pin->source == source;
        }
        if (pin->lo > offset)
            *until = plait_min_u64(*until, pin->lo);
    }
    return true;
}

/* The benched sources come back: those that were believed instead were wrong. */
static void revive(struct plait_fetch *f)
{
    for (int i = 0; i < f->source_count; i++) {
        struct source *s = &f->sources[i];
        if (!s->benched)
            continue;
        s->benched = s->out = s->condemned = s->vetted = s->held = false;
        s->strikes = 0;
        if (f->config.size == PLAIT_FETCH_UNKNOWN && s->size != PLAIT_FETCH_UNKNOWN && s->size != f->map.size)
            fetch_set_size(f, s->size);
        for (int k = 0; k < f->path_count; k++) {
            if (f->paths[k].source == i && f->paths[k].state == PLAIT_FETCH_PATH_OUT)
                path_set_state(f, k, PLAIT_FETCH_PATH_ACTIVE);
        }
    }
}

/* The most preferred usable source that brought bytes of [lo, hi), and how many did. */
static int contributor(const struct plait_fetch *f, uint64_t lo, uint64_t hi, int *count)
{
    bool seen[PLAIT_FETCH_SOURCES_MAX] = {false};
    struct plait_extent e;
    int best = PLAIT_FETCH_NO_SOURCE;

    *count = 0;
    for (uint64_t from = lo; plait_blockmap_find(&f->map, from, PLAIT_BLOCK_DONE, &e) && e.lo < hi;
         from = e.hi) {
        if (e.owner >= OWNER_RESUMED) {
            ++*count; /* of an earlier run: nobody to blame */
            continue;
        }
        if (seen[e.owner])
            continue;
        seen[e.owner] = true;
        ++*count;
        if (best < 0 || f->sources[e.owner].priority < f->sources[best].priority)
            best = e.owner;
    }
    return best;
}

void plait_fetch_reject_content(struct plait_fetch *f, uint64_t now, uint64_t lo, uint64_t hi)
{
    int count;
    int source = contributor(f, lo, hi, &count);
    uint64_t bytes = 0;

    f->done = false;
    f->progress_at = now;
    if (count == 1 && source != PLAIT_FETCH_NO_SOURCE) {
        source_condemn(f, source);
    } else {
        if (!fetch_take_back(f, lo, hi, PLAIT_FETCH_NO_SOURCE, &bytes))
            fetch_fail(f, PLAIT_FETCH_FAIL_TAINTED);
        if (source != PLAIT_FETCH_NO_SOURCE && !f->sources[source].out && f->pin_count < PINS_MAX)
            f->pins[f->pin_count++] = (struct pin){lo, hi, source};
    }
    bool usable = false;
    for (int i = 0; i < f->source_count; i++)
        usable |= !f->sources[i].out;
    if (!usable)
        revive(f);
    for (int i = 0; i < f->source_count; i++)
        usable |= !f->sources[i].out;
    if (!usable) {
        f->fail = PLAIT_FETCH_FAIL_NONE;
        fetch_fail(f, PLAIT_FETCH_FAIL_CONTENT);
    }
    sizes_decide(f, now);
    f->replan = true;
}

/* ---- sizes ---- */

static unsigned votes_for(const struct plait_fetch *f, uint64_t size)
{
    unsigned n = 0;

    for (int i = 0; i < f->source_count; i++)
        n += !f->sources[i].out && f->sources[i].size == size;
    return n;
}

static bool size_votes_open(const struct plait_fetch *f, uint64_t now, uint64_t since)
{
    for (int i = 0; i < f->source_count; i++) {
        if (!f->sources[i].out && f->sources[i].size == PLAIT_FETCH_UNKNOWN)
            return now - since < HELD_NS;
    }
    return false;
}

bool sizes_open(const struct plait_fetch *f, uint64_t now)
{
    bool held = false;

    if (!f->size_known || f->config.size != PLAIT_FETCH_UNKNOWN)
        return false;
    for (int i = 0; i < f->source_count; i++) {
        const struct source *s = &f->sources[i];
        if (!s->out && !s->held && s->ranges == RANGES_YES && s->size == f->map.size)
            return false;
        held |= !s->out && s->held;
    }
    return held || size_votes_open(f, now, f->sized_at);
}

static void choose_size(struct plait_fetch *f, uint64_t size)
{
    for (int i = 0; i < f->source_count; i++) {
        struct source *s = &f->sources[i];
        if (!s->out && s->size != PLAIT_FETCH_UNKNOWN && s->size != size)
            source_condemn(f, i);
        else
            s->held = false;
    }
    if (size != f->map.size && f->fail == PLAIT_FETCH_FAIL_NONE)
        fetch_set_size(f, size);
    f->replan = true;
}

void sizes_decide(struct plait_fetch *f, uint64_t now)
{
    int held = PLAIT_FETCH_NO_SOURCE, with_ours = PLAIT_FETCH_NO_SOURCE;

    for (int i = 0; i < f->source_count; i++) {
        if (f->sources[i].held && !f->sources[i].out)
            held = i;
        else if (!f->sources[i].out && f->sources[i].size == f->map.size)
            with_ours = i;
    }
    if (held == PLAIT_FETCH_NO_SOURCE || f->fail != PLAIT_FETCH_FAIL_NONE)
        return;
    uint64_t best = f->map.size;
    unsigned ours = votes_for(f, f->map.size), most = ours, second = 0;
    for (int i = 0; i < f->source_count; i++) {
        unsigned n = f->sources[i].held && !f->sources[i].out ? votes_for(f, f->sources[i].size) : 0;
        if (n > most) {
            second = most;
            most = n;
            best = f->sources[i].size;
        } else if (f->sources[i].size != best && n > second) {
            second = n;
        }
    }
    bool open = size_votes_open(f, now, f->sources[held].held_since);
    if (most > second + 1 || (most > second && !open)) {
        choose_size(f, best);
    } else if (!open && with_ours != PLAIT_FETCH_NO_SOURCE) {
        undecided(f, with_ours, held, 0, PLAIT_FETCH_FAIL_SIZES);
        sizes_decide(f, now); /* among one less: nothing else may happen that would ask again */
    } else if (!open) {
        choose_size(f, f->sources[held].size);
    }
}

void source_state_size(struct plait_fetch *f, uint64_t now, int source, uint64_t size)
{
    struct source *s = &f->sources[source];

    s->size = size;
    if (!f->size_known) {
        f->sized_at = now;
        fetch_set_size(f, size);
        return;
    }
    if (size == f->map.size || s->out || s->held)
        return;
    fetch_event(
        f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_SIZE_DIFFERS, .source = source, .bytes = size});
    if (f->config.size != PLAIT_FETCH_UNKNOWN) {
        source_condemn(f, source);
        return;
    }
    s->held = true;
    s->held_since = now;
    sizes_decide(f, now);
}
