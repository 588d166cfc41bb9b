/*
 * The fetch among a few servers in a millisecond world: who is believed, who is left out, and that no byte is
 * wrong. How fast it is, and what losses and queues do to it, is the simulator's matter.
 */
#include "fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

#define SERVERS_MAX 4
#define LANES_TOTAL (SERVERS_MAX * PLAIT_FETCH_LANES_MAX)
#define SIZE        ((uint64_t)(6 * PLAIT_MIB + 12345))

struct server {
    uint64_t size;
    uint8_t other_from_mib; /* content differs from this MiB on; 255 = never */
    bool no_ranges, no_length, refuses, changes;
    uint64_t bytes_per_ms, latency_ms;
    uint64_t silent_from_ms, silent_to_ms;
    uint64_t breaks_after; /* bytes of one answer; 0 = never */
    uint64_t served;
};

struct conn {
    bool open, head_due;
    uint64_t at, end, ready_ms, sent;
};

struct world {
    struct plait_fetch *f;
    struct server servers[SERVERS_MAX];
    struct conn conns[LANES_TOTAL];
    int count;
    uint64_t ms;
    uint8_t *out;
    uint64_t out_size, taken_back;
    uint64_t emitted, window;
    unsigned opens;
};

static uint8_t content(const struct server *s, uint64_t offset)
{
    uint8_t byte = (uint8_t)((offset * UINT64_C(2654435761)) >> 13);

    return offset >= s->other_from_mib * PLAIT_MIB && s->other_from_mib != 255 ? (uint8_t)~byte : byte;
}

static int world_write(void *ctx, uint64_t offset, const uint8_t *bytes, size_t len, int source)
{
    struct world *w = ctx;

    (void)source;
    assert_true(offset + len <= w->out_size);
    assert_true(w->window == 0 || offset + len <= w->emitted + w->window);
    memcpy(w->out + offset, bytes, len);
    return PLAIT_OK;
}

static int world_read(void *ctx, uint64_t offset, uint8_t *bytes, size_t len)
{
    struct world *w = ctx;

    if (w->window > 0 && offset < w->emitted)
        return PLAIT_ERR_NOTFOUND;
    memcpy(bytes, w->out + offset, len);
    return PLAIT_OK;
}

static void world_take_back(void *ctx, uint64_t lo, uint64_t hi)
{
    ((struct world *)ctx)->taken_back += hi - lo;
}

static struct server good(void)
{
    return (struct server){.size = SIZE, .other_from_mib = 255, .bytes_per_ms = 5000, .latency_ms = 10};
}

static void world_begin(struct world *w, const struct server *servers, int count,
                        struct plait_fetch_config config)
{
    *w = (struct world){.count = count, .out_size = SIZE + PLAIT_MIB, .window = config.window_bytes};
    w->out = calloc(1, w->out_size);
    assert_non_null(w->out);
    memcpy(w->servers, servers, (size_t)count * sizeof *servers);
    config.store = (struct plait_fetch_store){w, world_write, world_read, world_take_back};
    if (config.size == 0)
        config.size = PLAIT_FETCH_UNKNOWN;
    w->f = plait_fetch_new(&config, 0);
    assert_non_null(w->f);
    for (int i = 0; i < count; i++) {
        assert_int_equal(plait_fetch_add_source(w->f, (unsigned)i), i);
        assert_int_equal(plait_fetch_add_path(w->f, 0, i), i);
    }
}

static void world_end(struct world *w)
{
    plait_fetch_free(w->f);
    free(w->out);
}

static uint64_t now_of(const struct world *w)
{
    return w->ms * PLAIT_MS;
}

static void do_commands(struct world *w)
{
    struct plait_fetch_cmd cmd;

    for (int bound = 0; plait_fetch_poll_send(w->f, now_of(w), &cmd); bound++) {
        assert_true(bound < 10000);
        struct conn *c = &w->conns[cmd.lane];
        if (cmd.kind == PLAIT_FETCH_CLOSE) {
            c->open = false;
            continue;
        }
        assert_false(c->open);
        assert_true(cmd.lo < cmd.hi);
        *c = (struct conn){.open = true,
                           .head_due = true,
                           .at = cmd.lo,
                           .end = cmd.hi,
                           .ready_ms = w->ms + w->servers[cmd.path].latency_ms};
        w->opens++;
    }
}

static void send_head(struct world *w, int lane, struct server *s)
{
    struct conn *c = &w->conns[lane];
    struct plait_fetch_head head = {.size = s->no_length ? PLAIT_FETCH_UNKNOWN : s->size,
                                    .version = s->changes && w->ms > 100 ? 2 : 1};

    c->head_due = false;
    if (s->refuses) {
        c->open = false;
        plait_fetch_on_end(w->f, now_of(w), lane, PLAIT_FETCH_END_REFUSED, 0);
        return;
    }
    if (s->no_ranges) {
        head.kind = PLAIT_FETCH_HEAD_WHOLE;
        c->at = 0;
        c->end = s->size;
    } else if (c->at >= s->size) {
        head.kind = PLAIT_FETCH_HEAD_UNSATISFIED;
        c->end = c->at;
    } else {
        c->end = plait_min_u64(c->end, s->size);
        head.kind = PLAIT_FETCH_HEAD_PARTIAL;
        head.lo = c->at;
        head.hi = c->end;
    }
    if (plait_fetch_on_head(w->f, now_of(w), lane, &head) == PLAIT_FETCH_ABORT)
        c->open = false;
}

static void send_bytes(struct world *w, int lane, struct server *s, uint64_t budget)
{
    struct conn *c = &w->conns[lane];
    uint8_t bytes[16384];

    while (c->open && budget > 0 && c->at < c->end) {
        size_t n = (size_t)plait_min_u64(plait_min_u64(budget, c->end - c->at), sizeof bytes);
        for (size_t i = 0; i < n; i++)
            bytes[i] = content(s, c->at + i);
        c->at += n;
        c->sent += n;
        budget -= n;
        s->served += n;
        if (plait_fetch_recv(w->f, now_of(w), lane, bytes, n) == PLAIT_FETCH_ABORT)
            c->open = false;
        do_commands(w);
    }
    if (c->open && s->breaks_after > 0 && c->sent >= s->breaks_after) {
        c->open = false;
        plait_fetch_on_end(w->f, now_of(w), lane, PLAIT_FETCH_END_BROKEN, 0);
    } else if (c->open && c->at == c->end) {
        c->open = false;
        plait_fetch_on_end(w->f, now_of(w), lane, PLAIT_FETCH_END_COMPLETE, 0);
    }
}

static void serve(struct world *w, int server)
{
    struct server *s = &w->servers[server];
    uint64_t open = 0;

    if (w->ms >= s->silent_from_ms && w->ms < s->silent_to_ms)
        return;
    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++)
        open += w->conns[server * PLAIT_FETCH_LANES_MAX + k].open;
    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++) {
        int lane = server * PLAIT_FETCH_LANES_MAX + k;
        struct conn *c = &w->conns[lane];
        if (!c->open || w->ms < c->ready_ms)
            continue;
        if (c->head_due)
            send_head(w, lane, s);
        if (c->open)
            send_bytes(w, lane, s, s->bytes_per_ms / (open > 0 ? open : 1) + 1);
        do_commands(w);
    }
}

static struct plait_fetch_status world_run(struct world *w, uint64_t ms_max)
{
    struct plait_fetch_status status;

    do {
        do_commands(w);
        for (int i = 0; i < w->count; i++)
            serve(w, i);
        w->ms++;
        if (now_of(w) >= plait_fetch_next_deadline(w->f))
            plait_fetch_on_deadline(w->f, now_of(w));
        plait_fetch_get_status(w->f, now_of(w), &status);
        if (w->window > 0 && status.prefix_bytes > w->emitted) {
            w->emitted = status.prefix_bytes;
            plait_fetch_on_emitted(w->f, now_of(w), w->emitted);
        }
    } while (!status.done && status.fail == PLAIT_FETCH_FAIL_NONE && w->ms < ms_max);
    do_commands(w);
    for (int i = 0; i < LANES_TOTAL; i++)
        assert_false(w->conns[i].open && (status.done || status.fail != PLAIT_FETCH_FAIL_NONE));
    return status;
}

static void assert_output(const struct world *w, const struct server *like)
{
    for (uint64_t i = 0; i < like->size; i++) {
        if (w->out[i] != content(like, i))
            fail_msg("byte %llu is wrong", (unsigned long long)i);
    }
}

static struct plait_fetch_status run(struct world *w, const struct server *servers, int count,
                                     struct plait_fetch_config config)
{
    world_begin(w, servers, count, config);
    return world_run(w, 60000);
}

static void assert_good(struct world *w, struct plait_fetch_status status)
{
    struct server like = good();

    assert_int_equal(status.fail, PLAIT_FETCH_FAIL_NONE);
    assert_true(status.done);
    assert_int_equal(status.size, SIZE);
    assert_int_equal(status.kept_bytes, SIZE);
    assert_output(w, &like);
    world_end(w);
}

/* ---- the tests ---- */

static const struct plait_fetch_config plain;

static void one_source(void **unused)
{
    struct world w;
    struct server s = good();

    (void)unused;
    struct plait_fetch_status status = run(&w, &s, 1, plain);
    assert_int_equal(status.dup_bytes, 0);
    assert_int_equal(w.servers[0].served, SIZE);
    assert_good(&w, status);
}

static void several_sources_share_the_work(void **unused)
{
    struct world w;
    struct server s[3] = {good(), good(), good()};

    (void)unused;
    s[1].bytes_per_ms = 2000;
    s[2].latency_ms = 80;
    struct plait_fetch_status status = run(&w, s, 3, plain);
    for (int i = 0; i < 3; i++)
        assert_true(w.servers[i].served > SIZE / 10);
    assert_true(status.dup_bytes < SIZE / 20);
    assert_true(status.check_bytes > 0);
    assert_good(&w, status);
}

static void in_order_within_a_window(void **unused)
{
    struct world w;
    struct server s[2] = {good(), good()};

    (void)unused;
    s[1].bytes_per_ms = 300;
    assert_good(&w, run(&w, s, 2, (struct plait_fetch_config){.window_bytes = PLAIT_MIB}));
}

static void two_that_differ_and_nothing_decides(void **unused)
{
    struct world w;
    struct server s[2] = {good(), good()};

    (void)unused;
    s[1].other_from_mib = 0;
    struct plait_fetch_status status = run(&w, s, 2, plain);
    assert_int_equal(status.fail, PLAIT_FETCH_FAIL_CONFLICT);
    assert_int_not_equal(status.conflict_source_a, status.conflict_source_b);
    world_end(&w);
}

static void a_copy_that_comes_first_waits_for_the_other(void **unused)
{
    (void)unused;
    for (int slow = 0; slow < 2; slow++) {
        struct world w;
        struct server s[2] = {good(), good()};
        s[1].other_from_mib = 0;
        s[slow].bytes_per_ms = 300;
        struct plait_fetch_status status = run(&w, s, 2, plain);
        assert_int_equal(status.fail, PLAIT_FETCH_FAIL_CONFLICT);
        world_end(&w);
    }
}

static void a_majority_decides(void **unused)
{
    (void)unused;
    for (int wrong = 0; wrong < 3; wrong++) {
        struct world w;
        struct server s[3] = {good(), good(), good()};
        s[wrong].other_from_mib = 0;
        assert_good(&w, run(&w, s, 3, plain));
    }
}

static void a_difference_in_the_middle_is_seen(void **unused)
{
    struct world w;
    struct server s[3] = {good(), good(), good()};

    (void)unused;
    s[1].other_from_mib = 3;
    assert_good(&w, run(&w, s, 3, plain));
}

static void the_digest_decides(void **unused)
{
    (void)unused;
    for (int wrong = 0; wrong < 2; wrong++) {
        struct world w;
        struct server s[2] = {good(), good()}, like = good();
        s[wrong].other_from_mib = 0;
        struct plait_fetch_status status = run(&w, s, 2, (struct plait_fetch_config){.digest_known = true});
        assert_true(status.done);
        if (memcmp(w.out + SIZE - 4096, (uint8_t[]){content(&like, SIZE - 4096)}, 1) != 0) {
            plait_fetch_reject_content(w.f, now_of(&w), 0, SIZE); /* as the owner does on a wrong digest */
            status = world_run(&w, 60000);
        }
        assert_good(&w, status);
    }
}

static void nothing_fits_the_digest(void **unused)
{
    struct world w;
    struct server s[2] = {good(), good()};

    (void)unused;
    struct plait_fetch_status status = run(&w, s, 2, (struct plait_fetch_config){.digest_known = true});
    for (int round = 0; status.done && round < 8; round++) {
        plait_fetch_reject_content(w.f, now_of(&w), 0, SIZE);
        status = world_run(&w, 60000);
    }
    assert_int_equal(status.fail, PLAIT_FETCH_FAIL_CONTENT);
    world_end(&w);
}

static void a_wrong_piece_is_fetched_from_another(void **unused)
{
    struct world w;
    struct server s[2] = {good(), good()}, like = good();

    (void)unused;
    struct plait_fetch_status status = run(&w, s, 2, plain);
    for (uint64_t i = PLAIT_MIB; i < 2 * PLAIT_MIB; i++) /* as if the disk had lied */
        w.out[i] = 0;
    plait_fetch_reject_content(w.f, now_of(&w), PLAIT_MIB, 2 * PLAIT_MIB);
    status = world_run(&w, 60000);
    assert_true(w.taken_back >= PLAIT_MIB);
    assert_int_equal(content(&like, PLAIT_MIB), w.out[PLAIT_MIB]);
    assert_good(&w, status);
}

static void sizes_differ(void **unused)
{
    struct world w;
    struct server s[3] = {good(), good(), good()};

    (void)unused;
    s[1].size = SIZE - 1000;
    struct plait_fetch_status status = run(&w, s, 2, plain);
    assert_int_equal(status.fail, PLAIT_FETCH_FAIL_SIZES);
    world_end(&w);
    assert_good(&w, run(&w, s, 3, plain));
    assert_good(&w, run(&w, s, 2, (struct plait_fetch_config){.size = SIZE}));
    s[0].size = SIZE + 1000; /* the first to answer is the one that is wrong */
    s[0].latency_ms = 1;
    s[1].size = SIZE;
    assert_good(&w, run(&w, s, 3, plain));
}

/* Without a majority the preferred source is tried first, also where it was the last to answer. */
static void sizes_differ_and_the_digest_is_known(void **unused)
{
    struct world w;
    struct server s[2] = {good(), good()};
    struct plait_fetch_config config = {.digest_known = true};

    (void)unused;
    s[1].size = SIZE + 1000;
    for (uint64_t latency_ms = 1; latency_ms <= 60; latency_ms++) {
        s[1].latency_ms = latency_ms;
        assert_good(&w, run(&w, s, 2, config));
    }
}

static void refused_sources_are_left_out(void **unused)
{
    struct world w;
    struct server s[2] = {good(), good()};

    (void)unused;
    s[0].refuses = true;
    assert_good(&w, run(&w, s, 2, plain));
    s[1].refuses = true;
    struct plait_fetch_status status = run(&w, s, 2, plain);
    assert_int_equal(status.fail, PLAIT_FETCH_FAIL_NO_SOURCE);
    world_end(&w);
}

static void without_ranges(void **unused)
{
    struct world w;
    struct server s[2] = {good(), good()};

    (void)unused;
    s[0].no_ranges = true;
    assert_good(&w, run(&w, s, 1, plain));
    s[0].no_length = true;
    assert_good(&w, run(&w, s, 1, plain));
    assert_good(&w, run(&w, s, 1, (struct plait_fetch_config){.window_bytes = PLAIT_MIB}));
    assert_good(&w, run(&w, s, 2, plain)); /* beside one that has them */
    s[1].no_ranges = true;
    s[0].breaks_after = 2 * PLAIT_MIB; /* the other takes over from 0 and is compared */
    s[0].no_length = false;
    assert_good(&w, run(&w, s, 2, plain));
}

static void a_version_that_changes(void **unused)
{
    struct world w;
    struct server s[2] = {good(), good()};

    (void)unused;
    s[0].changes = true;
    assert_good(&w, run(&w, s, 2, plain));
    struct plait_fetch_status status = run(&w, s, 1, plain);
    assert_int_equal(status.fail, PLAIT_FETCH_FAIL_CHANGED);
    world_end(&w);
}

static void a_silent_source_costs_little(void **unused)
{
    struct world w;
    struct server s[2] = {good(), good()};

    (void)unused;
    s[1].silent_from_ms = 200;
    s[1].silent_to_ms = UINT64_MAX;
    struct plait_fetch_status status = run(&w, s, 2, plain);
    assert_true(w.ms < 2500);
    assert_good(&w, status);
}

static void silence_ends(void **unused)
{
    struct world w;
    struct server s = good();

    (void)unused;
    s.silent_from_ms = 200;
    s.silent_to_ms = 8000;
    assert_good(&w, run(&w, &s, 1, plain));
}

static void answers_that_break_off(void **unused)
{
    struct world w;
    struct server s[2] = {good(), good()};

    (void)unused;
    s[0].breaks_after = 100000;
    assert_good(&w, run(&w, s, 1, plain));
    assert_good(&w, run(&w, s, 2, plain));
}

/* What an earlier run left: the first 5 MiB, of `left`; the server has `now`. */
static struct plait_fetch_status resume(struct world *w, struct server left, struct server now)
{
    struct plait_fetch_config config = {.size = SIZE};

    *w = (struct world){.count = 1, .out_size = SIZE, .servers = {now}};
    w->out = malloc(SIZE);
    for (uint64_t i = 0; i < SIZE; i++)
        w->out[i] = i < 5 * PLAIT_MIB ? content(&left, i) : 0;
    config.store = (struct plait_fetch_store){w, world_write, world_read, world_take_back};
    w->f = plait_fetch_new(&config, 0);
    assert_int_equal(plait_fetch_add_source(w->f, 0), 0);
    assert_int_equal(plait_fetch_resume(w->f, 0, 5 * PLAIT_MIB, 0), PLAIT_OK);
    assert_int_equal(plait_fetch_add_path(w->f, 0, 0), 0);
    return world_run(w, 60000);
}

static void resumes(void **unused)
{
    struct world w;

    (void)unused;
    struct plait_fetch_status status = resume(&w, good(), good());
    assert_int_equal(w.servers[0].served,
                     SIZE - 5 * PLAIT_MIB + 4 * PLAIT_KIB); /* and the seam is compared */
    assert_good(&w, status);
}

static void what_was_left_is_of_another_version(void **unused)
{
    struct world w;
    struct server other = good();

    (void)unused;
    other.other_from_mib = 0;
    struct plait_fetch_status status = resume(&w, good(), other);
    assert_int_equal(status.fail, PLAIT_FETCH_FAIL_CHANGED);
    world_end(&w);
}

static void nobody_there(void **unused)
{
    struct world w;
    struct server s = good();

    (void)unused;
    s.silent_to_ms = UINT64_MAX;
    struct plait_fetch_status status = run(&w, &s, 1, plain);
    assert_int_equal(status.fail, PLAIT_FETCH_FAIL_UNREACHABLE);
    world_end(&w);
}

static void small_sizes(void **unused)
{
    const uint64_t sizes[] = {0, 1, 4095, 65536, 262144, 262145};

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(sizes); i++) {
        struct world w;
        struct server s[2] = {good(), good()};
        s[0].size = s[1].size = sizes[i];
        struct plait_fetch_status status = run(&w, s, 2, plain);
        assert_int_equal(status.fail, PLAIT_FETCH_FAIL_NONE);
        assert_true(status.done);
        assert_int_equal(status.kept_bytes, sizes[i]);
        assert_output(&w, &s[0]);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_source),
        cmocka_unit_test(several_sources_share_the_work),
        cmocka_unit_test(in_order_within_a_window),
        cmocka_unit_test(two_that_differ_and_nothing_decides),
        cmocka_unit_test(a_copy_that_comes_first_waits_for_the_other),
        cmocka_unit_test(a_majority_decides),
        cmocka_unit_test(a_difference_in_the_middle_is_seen),
        cmocka_unit_test(the_digest_decides),
        cmocka_unit_test(nothing_fits_the_digest),
        cmocka_unit_test(a_wrong_piece_is_fetched_from_another),
        cmocka_unit_test(sizes_differ),
        cmocka_unit_test(sizes_differ_and_the_digest_is_known),
        cmocka_unit_test(refused_sources_are_left_out),
        cmocka_unit_test(without_ranges),
        cmocka_unit_test(a_version_that_changes),
        cmocka_unit_test(a_silent_source_costs_little),
        cmocka_unit_test(silence_ends),
        cmocka_unit_test(answers_that_break_off),
        cmocka_unit_test(resumes),
        cmocka_unit_test(what_was_left_is_of_another_version),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(small_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
