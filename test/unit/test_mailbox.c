/* The mailbox: what fits and what does not, and four threads that fill it at once. */
#include "mailbox.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM    64u
#define WRITERS 4u
#define EACH    20000u

static void a_ring(void **unused)
{
    static struct plait_mailbox m;
    uint8_t packet[ROOM + 1] = {0};
    size_t len;

    (void)unused;
    assert_int_equal(plait_mailbox_init(&m, ROOM), PLAIT_OK);
    assert_null(plait_mailbox_peek(&m, &len));
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < PLAIT_MAILBOX_SLOTS; i++) {
            packet[0] = (uint8_t)i;
            assert_true(plait_mailbox_put(&m, packet, i % ROOM + 1));
        }
        assert_false(plait_mailbox_put(&m, packet, 1));
        for (unsigned i = 0; i < PLAIT_MAILBOX_SLOTS; i++) {
            const uint8_t *got = plait_mailbox_peek(&m, &len);
            assert_true(got != NULL && got[0] == (uint8_t)i && len == i % ROOM + 1);
            plait_mailbox_drop(&m);
        }
        assert_null(plait_mailbox_peek(&m, &len));
    }
    assert_false(plait_mailbox_put(&m, packet, ROOM + 1));
    assert_int_equal(atomic_load(&m.lost), 6);
    plait_mailbox_done(&m);
}

struct writer {
    struct plait_mailbox *m;
    uint32_t number;
};

/* Two numbers, and their sum at the end, to see a torn packet. */
static void *write_all(void *ctx)
{
    const struct writer *w = ctx;

    for (uint32_t i = 0; i < EACH; i++) {
        uint32_t packet[ROOM / 4] = {w->number, i, [ROOM / 4 - 1] = w->number + i};
        while (!plait_mailbox_put(w->m, (const uint8_t *)packet, sizeof packet))
            sched_yield();
    }
    return NULL;
}

static void many_writers(void **unused)
{
    static struct plait_mailbox m;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    uint32_t next[WRITERS] = {0}, packet[ROOM / 4];
    size_t len;

    (void)unused;
    assert_int_equal(plait_mailbox_init(&m, ROOM), PLAIT_OK);
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){&m, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_all, &writers[i]), 0);
    }
    for (unsigned left = WRITERS * EACH; left > 0;) {
        const uint8_t *got = plait_mailbox_peek(&m, &len);
        if (got == NULL) {
            sched_yield();
            continue;
        }
        assert_int_equal(len, sizeof packet);
        memcpy(packet, got, sizeof packet);
        plait_mailbox_drop(&m);
        assert_true(packet[0] < WRITERS && packet[1] == next[packet[0]]++);
        assert_int_equal(packet[ROOM / 4 - 1], packet[0] + packet[1]);
        left--;
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    assert_null(plait_mailbox_peek(&m, &len));
    plait_mailbox_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_ring), cmocka_unit_test(many_writers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
