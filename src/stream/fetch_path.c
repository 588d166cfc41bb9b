/*
 * Paths and sources of a fetch: their speed, their silence, how many connections they deserve, and when one
 * that failed is tried again.
 *
 *      NEW -> ACTIVE <-> SILENT (nothing arrives; its work is given away; probed with one lane at retry_at)
 *              |  ^
 *              v  |
 *             WAIT (busy, broken, unreachable; one lane tries at retry_at)         any -> OUT
 */
#include "fetch_push.h"

#define TICK_NS              (50 * PLAIT_MS)
#define RTT_UNKNOWN_NS       (100 * PLAIT_MS)
#define RETRY_NS_MIN         (250 * PLAIT_MS)
#define RETRY_NS_MAX         (15 * PLAIT_S)
#define ANSWER_NS_MIN        (1500 * PLAIT_MS) /* a request unanswered for less is no reason to worry */
#define TRIES_MAX            4                 /* of a path that never answered, when none ever did */
#define NEAR_PER_LANE_NS     (30 * PLAIT_MS)
#define LANES_NEAR_MIN       3
#define LANES_NEAR_MAX       4
#define YOUNG_LANE_NS        (6 * PLAIT_MS) /* so each path begins with about as much in a second */
#define LANES_YOUNG_MAX      7
#define LANES_AWAITED        6                /* as long as nobody has answered */
#define YOUNG_BYTES          (64 * PLAIT_KIB) /* each is to have something to do */
#define YOUNG_LEFT_MAX       (16 * PLAIT_MIB) /* of more than this, asked for in parts, the beginning is little */
#define FAR_NS               (100 * PLAIT_MS)
#define FAR_PER_LANE_NS      (30 * PLAIT_MS)
#define LANES_FIRST_MAX      18
#define VERY_FAR_NS          (300 * PLAIT_MS)
#define VERY_FAR_PER_LANE_NS (10 * PLAIT_MS)
#define LANES_PUSHED_MAX     (PLAIT_FETCH_LANES_MAX - LANES_FIRST_MAX)
#define LANES_GROWN_MAX      32 /* by trials */
#define LONG_BYTES           (8 * PLAIT_MIB)
#define WAITS_ON             2 /* who has waited so long is taken to wait so many times that in all */
#define WAITS_ON_PUSHED      5
#define WINDOW_BYTES_MIN     6000.0 /* a connection that has less in flight is one too many */
#define TRIAL_GAIN           1.25
#define TRIAL_NS             (4 * PLAIT_S)
#define TRIAL_ALIKE_NS       (500 * PLAIT_MS)
#define ALIKE                1.15
#define GROW_LEFT_NS         (1 * PLAIT_S)
#define FELL                 0.7
#define FELL_NS_MIN          (250 * PLAIT_MS)
#define FELL_RTTS            6
#define GROW_NS_LOOK         (250 * PLAIT_MS)
#define GROW_AGAIN_NS        (2 * PLAIT_S)

bool source_usable(const struct plait_fetch *f, int source)
{
    const struct source *s = &f->sources[source];

    return !s->out && !s->held;
}

bool path_usable(const struct plait_fetch *f, const struct path *p)
{
    if (!source_usable(f, p->source) || p->state == PLAIT_FETCH_PATH_OUT)
        return false;
    if (p->state == PLAIT_FETCH_PATH_WAIT || p->state == PLAIT_FETCH_PATH_SILENT)
        return p->retry_due && path_lanes_busy(p) == 0;
    return true;
}

unsigned path_lanes_busy(const struct path *p)
{
    unsigned busy = 0;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++)
        busy += p->lanes[k].state != LANE_IDLE;
    return busy;
}

static unsigned lanes_in_body(const struct path *p)
{
    unsigned n = 0;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++)
        n += p->lanes[k].state == LANE_BODY;
    return n;
}

uint64_t path_outstanding(const struct plait_fetch *f, int path)
{
    uint64_t sum = 0;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++) {
        const struct lane *l = &f->paths[path].lanes[k];
        uint64_t at = plait_max_u64(l->at, l->lo);
        if (l->state != LANE_IDLE && l->state != LANE_DRAIN && !l->given_up && !l->probe)
            sum += plait_since(plait_min_u64(l->hi, f->map.size), at);
    }
    return sum + push_outstanding(f, path);
}

uint64_t path_lag_ns(const struct path *p, const struct lane *l)
{
    uint64_t guess = plait_max_u64(RTT_UNKNOWN_NS, p->waited_ns);
    uint64_t rtt = p->est.rtt_min_ns > 0 ? p->est.rtt_min_ns : guess;
    uint64_t lag = p->lag_ns > 0 ? p->lag_ns : rtt;

    return l->connected ? lag : lag + rtt;
}

void path_learn_lag(struct path *p, uint64_t lag_ns)
{
    p->lag_ns = p->lag_ns == 0 ? lag_ns : (p->lag_ns + lag_ns) / 2;
    if (p->lag_min_ns == 0 || lag_ns < p->lag_min_ns)
        p->lag_min_ns = lag_ns;
}

double path_rate(const struct path *p, uint64_t now)
{
    return plait_estimator_rate(&p->est, now);
}

double fetch_rate(const struct plait_fetch *f, uint64_t now)
{
    double sum = 0;

    for (int i = 0; i < f->path_count; i++) {
        if (f->paths[i].state == PLAIT_FETCH_PATH_ACTIVE)
            sum += path_rate(&f->paths[i], now);
    }
    return sum;
}

void path_set_state(struct plait_fetch *f, int path, enum plait_fetch_path_state state)
{
    struct path *p = &f->paths[path];

    if (p->state == state)
        return;
    p->state = state;
    p->retry_due = false;
    f->replan = true;
    fetch_event(f, (struct plait_fetch_event){
                       .kind = PLAIT_FETCH_EV_PATH_STATE, .path = path, .source = p->source, .state = state});
}

/* A first guess: long paths want more connections to fill, as each begins with a small window. */
static uint64_t first_lanes(uint64_t rtt_ns)
{
    uint64_t near = plait_min_u64(LANES_NEAR_MIN + rtt_ns / NEAR_PER_LANE_NS, LANES_NEAR_MAX);
    uint64_t far = near + plait_since(rtt_ns, FAR_NS) / FAR_PER_LANE_NS;

    return plait_min_u64(far, LANES_FIRST_MAX);
}

/* The longest want still more where sources push, which share out among them what requests would have to. */
static uint64_t pushed_lanes(uint64_t rtt_ns)
{
    return plait_min_u64(plait_since(rtt_ns, VERY_FAR_NS) / VERY_FAR_PER_LANE_NS, LANES_PUSHED_MAX);
}

/* The round trip of a path, or as long as it is not known, how long its first connection is awaited. */
static uint64_t rtt_so_far_ns(const struct path *p, uint64_t now)
{
    uint64_t waited = 0;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX && p->est.rtt_min_ns == 0; k++) {
        if (p->lanes[k].state == LANE_OPENING && !p->lanes[k].connected)
            waited = plait_max_u64(waited, now - p->lanes[k].opened);
    }
    return plait_max_u64(p->est.rtt_min_ns, waited);
}

/* While windows open something is lost in each round trip: the longer that is, the more of them begin at once. The
 * longest paths begin with more, see path_learn_rtt(). Where much is asked for in parts they cost more later, in requests
 * cut short and in queues, than they bring. */
unsigned path_lanes(const struct plait_fetch *f, const struct path *p, uint64_t now)
{
    bool good = p->errors == 0 && (p->state == PLAIT_FETCH_PATH_NEW || p->state == PLAIT_FETCH_PATH_ACTIVE);
    uint64_t rtt = rtt_so_far_ns(p, now);

    if (!f->size_known || !good || rtt > FAR_NS || !path_is_young(p, now))
        return p->lanes_want;
    if (fetch_left(f) > YOUNG_LEFT_MAX && !push_is_likely(f, rtt))
        return p->lanes_want;
    uint64_t most = p->est.rtt_min_ns > 0 ? LANES_YOUNG_MAX : LANES_AWAITED;
    uint64_t lanes = plait_min_u64(rtt / YOUNG_LANE_NS, most);
    lanes = plait_min_u64(lanes, fetch_left(f) / (uint64_t)(2 * f->path_count) / YOUNG_BYTES);
    return (unsigned)plait_max_u64(p->lanes_want, plait_min_u64(lanes, p->lanes_cap));
}

/* More than this would have hardly a packet each in flight. */
static unsigned lanes_most(const struct path *p)
{
    double windows = p->est.rate * plait_to_s(p->lag_min_ns) / WINDOW_BYTES_MIN;

    if (p->est.samples == 0)
        return PLAIT_FETCH_LANES_MAX;
    return windows > LANES_FIRST_MAX - 2 ? LANES_FIRST_MAX : 2 + (unsigned)windows;
}

void path_learn_rtt(const struct plait_fetch *f, struct path *p, uint64_t rtt_ns)
{
    plait_estimator_on_rtt(&p->est, rtt_ns);
    if (p->first_byte != 0 && p->state == PLAIT_FETCH_PATH_ACTIVE)
        return;
    uint64_t rtt = p->est.rtt_min_ns, more = push_is_likely(f, rtt) ? pushed_lanes(rtt) : 0;
    uint64_t lanes = plait_min_u64(first_lanes(rtt) + more, lanes_most(p));
    if (p->lanes_want < lanes)
        p->lanes_want = (unsigned)plait_min_u64(lanes, p->lanes_cap);
}

void path_update_busy(struct path *p, uint64_t now)
{
    plait_estimator_on_busy(&p->est, now, lanes_in_body(p) > 0);
}

void path_back_off(struct plait_fetch *f, int path, uint64_t now, uint64_t delay_ns)
{
    struct path *p = &f->paths[path];

    if (p->state == PLAIT_FETCH_PATH_OUT)
        return;
    unsigned busy = lanes_in_body(p);
    if (busy > 0 && delay_ns == 0) { /* the others go on; more are tried again later */
        p->lanes_want = busy;
        p->trial_rate = 0;
        p->grow_at = now + GROW_AGAIN_NS;
        return;
    }
    bool fell_from_work = p->fails == 0 && p->reached && p->state == PLAIT_FETCH_PATH_ACTIVE;
    if (delay_ns == 0 && !fell_from_work)
        delay_ns = plait_min_u64(RETRY_NS_MIN << (p->fails > 6 ? 6 : p->fails), RETRY_NS_MAX);
    p->fails++;
    path_set_state(f, path, PLAIT_FETCH_PATH_WAIT);
    p->retry_due = delay_ns == 0;
    p->retry_at = now + delay_ns;
    p->lanes_want = 1;
    p->trial_rate = 0;
    f->replan = true;
}

static void fail_if_all_out(struct plait_fetch *f)
{
    bool benched = false;

    for (int i = 0; i < f->source_count; i++)
        benched |= f->sources[i].benched;
    for (int i = 0; i < f->path_count; i++) {
        if (f->paths[i].state != PLAIT_FETCH_PATH_OUT)
            return;
    }
    if (!benched)
        fetch_fail(f, PLAIT_FETCH_FAIL_NO_SOURCE);
}

void path_out(struct plait_fetch *f, int path)
{
    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++)
        fetch_close_lane(f, fetch_lane_id(path, k));
    path_set_state(f, path, PLAIT_FETCH_PATH_OUT);
    fail_if_all_out(f);
}

void source_out(struct plait_fetch *f, int source)
{
    f->sources[source].out = true;
    checks_forget_source(f, source);
    for (int i = 0; i < f->path_count; i++) {
        if (f->paths[i].source == source && f->paths[i].state != PLAIT_FETCH_PATH_OUT)
            path_out(f, i);
    }
}

void source_strike(struct plait_fetch *f, int source)
{
    if (++f->sources[source].strikes >= STRIKES_MAX)
        source_out(f, source);
}

/* ---- time ---- */

static void go_silent(struct plait_fetch *f, int path, uint64_t now)
{
    struct path *p = &f->paths[path];

    path_set_state(f, path, PLAIT_FETCH_PATH_SILENT);
    p->retry_at = now + plait_max_u64(1 * PLAIT_S, 2 * plait_estimator_silence_ns(&p->est));
    p->errors++;
    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++) {
        struct lane *l = &p->lanes[k];
        bool waits = l->state == LANE_WAIT && f->live.on; /* as mute as the rest of it */
        if (l->state != LANE_OPENING && l->state != LANE_BODY && !waits)
            continue;
        fetch_release(f, fetch_lane_id(path, k));
        l->given_up = true;
        if (l->stream)
            push_after_loss(f, fetch_lane_id(path, k));
    }
}

static uint64_t answer_ns(const struct path *p)
{
    return plait_max_u64(ANSWER_NS_MIN, 4 * p->est.rtt_min_ns);
}

/* Whether the path as a whole says nothing although it should. */
static bool is_silent(const struct path *p, uint64_t now)
{
    uint64_t asked = 0;
    bool body = false, waits = false;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++) {
        const struct lane *l = &p->lanes[k];
        body |= l->state == LANE_BODY;
        waits |= l->state == LANE_BODY || l->state == LANE_OPENING;
        if (l->state == LANE_BODY)
            asked = plait_max_u64(asked, l->last_arrival);
        else if (l->state == LANE_OPENING && !body)
            asked = plait_max_u64(asked, l->opened);
    }
    if (!waits)
        return false;
    if (body)
        return now - plait_max_u64(p->est.last_arrival, asked) > plait_estimator_silence_ns(&p->est);
    return now - plait_max_u64(asked, p->est.last_arrival) > answer_ns(p);
}

/* One connection that is stuck while others of its path are not gives up its place. */
static void close_stuck_lanes(struct plait_fetch *f, int path, uint64_t now)
{
    struct path *p = &f->paths[path];
    uint64_t body_ns = plait_max_u64(2 * answer_ns(p), 4 * plait_estimator_silence_ns(&p->est));

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++) {
        struct lane *l = &p->lanes[k];
        bool unanswered = l->state == LANE_OPENING || l->state == LANE_DRAIN;
        bool stuck = (l->state == LANE_BODY && now - l->last_arrival > body_ns) ||
                     (unanswered && now - l->opened > 2 * answer_ns(p));
        if (!stuck)
            continue;
        p->errors++;
        if (l->stream && f->push.streams[fetch_lane_id(path, k)].blocks == 0)
            push_failed(f, now, p->source); /* it was opened in vain */
        fetch_close_lane(f, fetch_lane_id(path, k));
        path_update_busy(p, now);
    }
}

/* Whether the connections of the path are all equally fast, as if the server held each to the same rate. */
static bool lanes_alike(const struct path *p, uint64_t now)
{
    double least = 0, most = 0;
    unsigned n = 0;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++) {
        const struct lane *l = &p->lanes[k];
        double pace = l->state == LANE_BODY ? plait_estimator_rate(&l->est, now) : l->pace;
        if (!l->connected || pace <= 0)
            continue;
        least = n == 0 || pace < least ? pace : least;
        most = pace > most ? pace : most;
        n++;
    }
    return n >= 2 && most < ALIKE * least;
}

/* A trial may cost something: soon where connections are alike, later where not, and never near the end. */
static bool trial_due(const struct plait_fetch *f, const struct path *p, uint64_t now)
{
    uint64_t after_ns = lanes_alike(p, now) ? TRIAL_ALIKE_NS : TRIAL_NS;

    return !p->tried && now - p->first_byte > after_ns && fetch_end_s(f, now) > 1.5 * plait_to_s(after_ns);
}

/* A trial is over: keep what it brought, or take it back. */
static void judge_trial(struct path *p, double rate)
{
    double gain = p->trial_pays ? TRIAL_GAIN : 1 + 0.5 / (double)(p->lanes_want - p->trial_lanes);

    if (rate < gain * p->trial_rate) {
        p->lanes_want -= p->trial_lanes;
    } else {
        p->tried = false;
        p->trial_pays = true;
    }
    p->trial_rate = 0;
}

static void add_lanes(struct plait_fetch *f, struct path *p, unsigned more, uint64_t now)
{
    uint64_t most = plait_min_u64(p->lanes_cap, plait_max_u64(p->lanes_want, LANES_GROWN_MAX));

    p->lanes_want = (unsigned)plait_min_u64(p->lanes_want + more, most);
    p->grow_at = now + plait_max_u64(GROW_NS_LOOK, 5 * p->est.rtt_min_ns);
    f->replan = true;
}

/* Whether the path has brought clearly less than it can for longer than a burst of losses takes to mend. */
static bool path_fell(struct path *p, double rate, uint64_t now)
{
    if (p->est.rate > p->peak_rate)
        p->peak_rate = p->est.rate;
    if (rate >= FELL * p->peak_rate || p->fell_since == 0)
        p->fell_since = now;
    return now - p->fell_since >= plait_max_u64(FELL_NS_MIN, FELL_RTTS * p->est.rtt_min_ns);
}

/*
 * More connections when the path brings less than it did and no queue stands in the way: then it is not the path that
 * limits them, but losses that keep their windows small. Where windows hold, more of them would only fill its queue;
 * one more is tried once, in case it is the server that limits each, and twice as many as long as this pays.
 */
static void grow(struct plait_fetch *f, struct path *p, uint64_t now)
{
    double rate = path_rate(p, now);
    unsigned most = lanes_most(p);

    if (p->est.samples == 0)
        return;
    bool fell = path_fell(p, rate, now);
    if (p->lanes_want >= most) {
        p->lanes_want = most;
        p->trial_rate = 0;
        return;
    }
    if (now < p->grow_at)
        return;
    if (p->trial_rate > 0)
        judge_trial(p, rate);
    bool queue = p->lag_ns > p->lag_min_ns + p->lag_min_ns / 2 + 5 * PLAIT_MS;
    if (p->lanes_want >= p->lanes_cap || lanes_in_body(p) + 1 < p->lanes_want || queue ||
        fetch_end_s(f, now) < plait_to_s(GROW_LEFT_NS))
        return;
    if (fell) {
        add_lanes(f, p, p->lanes_want, now);
    } else if (trial_due(f, p, now)) {
        unsigned before = p->lanes_want;
        p->tried = true;
        p->trial_rate = rate;
        add_lanes(f, p, p->trial_pays ? before : 1, now);
        p->trial_lanes = p->lanes_want - before;
    }
}

static void retry(struct plait_fetch *f, int path, uint64_t now)
{
    struct path *p = &f->paths[path];

    if (p->retry_due || now < p->retry_at)
        return;
    p->fails += path_lanes_busy(p) > 0; /* the last try was not even answered */
    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++)
        fetch_close_lane(f, fetch_lane_id(path, k));
    path_update_busy(p, now);
    p->retry_due = true;
    p->lanes_want = 1;
    p->trial_rate = 0;
    p->retry_at =
        now + answer_ns(p) + plait_min_u64(RETRY_NS_MIN << (p->fails > 6 ? 6 : p->fails), RETRY_NS_MAX);
    f->replan = true;
}

/* A connection that is still not there tells that the path is long: get more of them under way. */
static void learn_from_waiting(struct plait_fetch *f, struct path *p, uint64_t now)
{
    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++) {
        const struct lane *l = &p->lanes[k];
        if (l->state != LANE_OPENING || l->connected || p->est.rtt_min_ns != 0)
            continue;
        uint64_t waited = now - l->opened;
        p->waited_ns = plait_max_u64(p->waited_ns, waited);
        bool pushed = p->waited_ns >= FAR_NS && push_is_likely(f, WAITS_ON_PUSHED * p->waited_ns);
        bool is_long = p->waited_ns >= FAR_NS && f->size_known && fetch_left(f) > LONG_BYTES;
        uint64_t times = pushed ? WAITS_ON_PUSHED : is_long ? WAITS_ON : 1;
        uint64_t more = pushed ? pushed_lanes(WAITS_ON * waited) : 0;
        uint64_t lanes = plait_max_u64(1, first_lanes(times * waited) + more - 1);
        if (lanes > p->lanes_want) {
            p->lanes_want = (unsigned)plait_min_u64(lanes, p->lanes_cap);
            f->replan = true;
        }
        return;
    }
}

static void look_at_path(struct plait_fetch *f, int path, uint64_t now)
{
    struct path *p = &f->paths[path];

    switch (p->state) {
    case PLAIT_FETCH_PATH_NEW:
        learn_from_waiting(f, p, now);
        if (is_silent(p, now))
            go_silent(f, path, now);
        break;
    case PLAIT_FETCH_PATH_ACTIVE:
        if (is_silent(p, now)) {
            go_silent(f, path, now);
            break;
        }
        close_stuck_lanes(f, path, now);
        grow(f, p, now);
        break;
    case PLAIT_FETCH_PATH_SILENT:
    case PLAIT_FETCH_PATH_WAIT:
        retry(f, path, now);
        break;
    case PLAIT_FETCH_PATH_OUT:
        break;
    }
}

static void fail_if_never_reached(struct plait_fetch *f)
{
    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        if (p->reached || (p->state != PLAIT_FETCH_PATH_OUT && p->fails < TRIES_MAX))
            return;
    }
    if (f->path_count > 0)
        fetch_fail(f, PLAIT_FETCH_FAIL_UNREACHABLE);
}

void paths_on_deadline(struct plait_fetch *f, uint64_t now)
{
    if (now < f->tick_at)
        return;
    f->tick_at = now + TICK_NS;
    for (int i = 0; i < f->path_count; i++)
        look_at_path(f, i, now);
    fail_if_never_reached(f);
}

uint64_t paths_next_deadline(const struct plait_fetch *f)
{
    uint64_t first = PLAIT_NEVER;

    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        bool waits = p->state == PLAIT_FETCH_PATH_WAIT || p->state == PLAIT_FETCH_PATH_SILENT;
        if (waits)
            first = plait_min_u64(first, p->retry_at);
        else if (path_lanes_busy(p) > 0)
            return f->tick_at;
    }
    return plait_max_u64(first, f->tick_at);
}
