#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients.h"
#include "send_ahead.h"
#include "units.h"

#define FD_MAX 64

static struct plait_clients *made(unsigned total, unsigned per_address)
{
    const struct plait_clients_limits limits = {total, per_address, 20 * PLAIT_S, 60 * PLAIT_S};
    struct plait_clients *c;

    assert_int_equal(plait_clients_new(&c, &limits, FD_MAX), PLAIT_OK);
    return c;
}

static int admit(struct plait_clients *c, int fd, const char *address)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};

    if (inet_pton(AF_INET6, address, &six.sin6_addr) == 1)
        return plait_clients_admit(c, fd, (struct sockaddr *)&six, PLAIT_S);
    assert_int_equal(inet_pton(AF_INET, address, &four.sin_addr), 1);
    return plait_clients_admit(c, fd, (struct sockaddr *)&four, PLAIT_S);
}

static void so_many_of_one_address(void **state)
{
    struct plait_clients *c = made(6, 2);

    (void)state;
    assert_int_equal(admit(c, 10, "192.0.2.1"), PLAIT_OK);
    assert_int_equal(admit(c, 11, "192.0.2.1"), PLAIT_OK);
    assert_int_equal(admit(c, 12, "192.0.2.1"), PLAIT_ERR_LIMIT);
    assert_int_equal(admit(c, 12, "192.0.2.2"), PLAIT_OK);
    assert_int_equal(admit(c, 13, "2001:db8::1"), PLAIT_OK);
    assert_int_equal(admit(c, 14, "2001:db8::2:0:0:1"), PLAIT_OK);
    assert_int_equal(admit(c, 15, "2001:db8::3"), PLAIT_ERR_LIMIT); /* the same /64 */
    assert_int_equal(admit(c, 15, "2001:db8:0:1::3"), PLAIT_OK);
    assert_int_equal(admit(c, 16, "192.0.2.3"), PLAIT_ERR_NOMEM);
    plait_clients_forget(c, 10);
    plait_clients_forget(c, 10);
    assert_int_equal(admit(c, 10, "192.0.2.1"), PLAIT_OK);
    assert_int_equal(plait_clients_sweep(c, PLAIT_SWEEP_USUAL, 2 * PLAIT_S), 6);
    plait_clients_free(c);
}

static void a_descriptor_that_comes_again(void **state)
{
    struct plait_clients *c = made(2, 1);

    (void)state;
    assert_int_equal(admit(c, 10, "192.0.2.1"), PLAIT_OK);
    assert_int_equal(admit(c, 10, "192.0.2.2"), PLAIT_OK); /* nobody told of its end */
    assert_int_equal(admit(c, 11, "192.0.2.1"), PLAIT_OK);
    assert_int_equal(admit(c, -1, "192.0.2.9"), PLAIT_ERR_NOMEM);
    assert_int_equal(admit(c, FD_MAX, "192.0.2.9"), PLAIT_ERR_NOMEM);
    plait_clients_forget(c, -1);
    plait_clients_forget(c, FD_MAX);
    plait_clients_forget(c, 40);
    plait_clients_asked(c, FD_MAX, 1);
    assert_int_equal(plait_clients_sweep(c, PLAIT_SWEEP_USUAL, 2 * PLAIT_S), 2);
    plait_clients_free(c);
}

static void any_coming_and_going(void **state)
{
    struct plait_clients *c = made(FD_MAX, 3);
    int of[FD_MAX];
    unsigned count[7] = {0};
    size_t all = 0;
    uint64_t g = 1;

    (void)state;
    memset(of, 0xff, sizeof of);
    for (int round = 0; round < 100000; round++) {
        char address[32] = "192.0.2.0";
        g = g * UINT64_C(6364136223846793005) + 1442695040888963407;
        int fd = (int)(g >> 40) % FD_MAX, who = (int)(g >> 50) % 7;
        if (of[fd] >= 0) {
            plait_clients_forget(c, fd);
            count[of[fd]]--;
            of[fd] = -1;
            all--;
            continue;
        }
        address[8] = (char)('0' + who);
        int rc = admit(c, fd, address);
        assert_int_equal(rc, count[who] < 3 ? PLAIT_OK : PLAIT_ERR_LIMIT);
        if (rc == PLAIT_OK) {
            of[fd] = who;
            count[who]++;
            all++;
        }
    }
    assert_int_equal(plait_clients_sweep(c, PLAIT_SWEEP_USUAL, PLAIT_S), all);
    plait_clients_free(c);
}

static bool is_open(int peer)
{
    char byte;

    return recv(peer, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

static void deadlines(void **state)
{
    struct plait_clients *c = made(10, 0);
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_true(ends[0] < FD_MAX);
    assert_int_equal(admit(c, ends[0], "192.0.2.1"), PLAIT_OK); /* at 1 s */
    plait_clients_sweep(c, PLAIT_SWEEP_PRESSING, 21 * PLAIT_S);
    assert_true(is_open(ends[1]));
    plait_clients_asked(c, ends[0], 20 * PLAIT_S);
    plait_clients_sweep(c, PLAIT_SWEEP_LEAVING, 40 * PLAIT_S);
    assert_true(is_open(ends[1]));
    plait_clients_answering(c, ends[0], -1, 0);
    plait_clients_sweep(c, PLAIT_SWEEP_LEAVING, 9999 * PLAIT_S);
    assert_true(is_open(ends[1]));
    plait_clients_answered(c, ends[0], 100 * PLAIT_S);
    plait_clients_sweep(c, PLAIT_SWEEP_USUAL, 160 * PLAIT_S);
    plait_clients_sweep(c, PLAIT_SWEEP_PRESSING, 101 * PLAIT_S);
    assert_true(is_open(ends[1]));
    assert_int_equal(plait_clients_sweep(c, PLAIT_SWEEP_PRESSING, 102 * PLAIT_S), 1);
    assert_false(is_open(ends[1]));
    plait_clients_forget(c, ends[0]);
    assert_int_equal(plait_clients_sweep(c, PLAIT_SWEEP_USUAL, 103 * PLAIT_S), 0);
    close(ends[0]);
    close(ends[1]);
    plait_clients_free(c);
}

/* send_ahead: what a caller of sendfile64 that takes small steps sees. */

#define STEP (128 * 1024)

struct pipe_of_file {
    struct plait_clients *clients;
    int file, ends[2];
    uint64_t received;
};

static void fill(int fd, uint64_t size)
{
    unsigned block[1024];

    for (uint64_t at = 0; at < size; at += sizeof block) {
        for (size_t i = 0; i < PLAIT_COUNT(block); i++)
            block[i] = (unsigned)(at / sizeof block[0] + i);
        assert_int_equal(pwrite(fd, block, plait_min_u64(sizeof block, size - at), (off_t)at),
                         plait_min_u64(sizeof block, size - at));
    }
}

static void begin(struct pipe_of_file *p, uint64_t size, uint64_t end)
{
    char name[] = "/tmp/plait-ahead-XXXXXX";

    p->clients = made(10, 0);
    p->received = 0;
    p->file = mkstemp(name);
    assert_true(p->file >= 0 && unlink(name) == 0);
    fill(p->file, size);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->ends), 0);
    assert_int_equal(admit(p->clients, p->ends[0], "192.0.2.1"), PLAIT_OK);
    plait_clients_answering(p->clients, p->ends[0], p->file, end);
    plait_send_ahead_for(p->clients);
}

static void end(struct pipe_of_file *p)
{
    plait_send_ahead_for(NULL);
    plait_clients_free(p->clients);
    close(p->file);
    close(p->ends[0]);
    close(p->ends[1]);
}

/* Takes up to `max` bytes, which must be the file's from `from` on. */
static void receive(struct pipe_of_file *p, uint64_t from, size_t max)
{
    static unsigned char got[1 << 16];

    while (max > 0) {
        ssize_t n = recv(p->ends[1], got, max < sizeof got ? max : sizeof got, 0);
        if (n <= 0)
            return;
        for (ssize_t i = 0; i < n; i++) {
            uint64_t at = from + p->received + (uint64_t)i;
            unsigned word = (unsigned)(at / sizeof word);
            assert_int_equal(got[i], ((unsigned char *)&word)[at % sizeof word]);
        }
        p->received += (uint64_t)n;
        max -= (size_t)n;
    }
}

static void small_steps_from_large_ones(void **state)
{
    const uint64_t from = 4096, till = 9 * PLAIT_MIB + 12345;
    struct pipe_of_file p;
    uint64_t g = 7, told = from;

    (void)state;
    begin(&p, 10 * PLAIT_MIB, till);
    while (told < till) {
        off64_t offset = (off64_t)told;
        size_t want = (size_t)plait_min_u64(STEP, till - told);
        ssize_t n = sendfile64(p.ends[0], p.file, &offset, want);
        g = g * UINT64_C(6364136223846793005) + 1442695040888963407;
        if (n > 0) {
            assert_true((size_t)n <= want);
            told += (uint64_t)n;
            assert_true((uint64_t)offset == told);
        }
        if (n < (ssize_t)want) {
            /* The caller now waits for an edge: the socket must be full at this moment. */
            char byte = 0;
            assert_true(n > 0 || (n < 0 && errno == EAGAIN));
            assert_int_equal(send(p.ends[0], &byte, 1, MSG_DONTWAIT), -1);
            receive(&p, from, 1 + (size_t)((g >> 33) % (4 * STEP)));
        }
    }
    receive(&p, from, SIZE_MAX);
    assert_true(p.received == till - from); /* not one byte past the end */
    end(&p);
}

static void nothing_for_strangers(void **state)
{
    struct pipe_of_file p;
    off64_t offset = 0;

    (void)state;
    begin(&p, 4 * STEP, 4 * STEP);
    plait_clients_answered(p.clients, p.ends[0], PLAIT_S);
    assert_int_equal(sendfile64(p.ends[0], p.file, &offset, 1000), 1000);
    receive(&p, 0, SIZE_MAX);
    assert_int_equal(p.received, 1000);
    end(&p);
}

static void a_file_cut_short_ends_the_connection(void **state)
{
    struct pipe_of_file p;
    off64_t offset = 0;

    (void)state;
    begin(&p, 4096, 4 * STEP); /* less than the answer needs */
    assert_int_equal(sendfile64(p.ends[0], p.file, &offset, STEP), 4096);
    assert_int_equal(sendfile64(p.ends[0], p.file, &offset, STEP), 0);
    receive(&p, 0, SIZE_MAX);
    assert_int_equal(p.received, 4096);
    assert_false(is_open(p.ends[1]));
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_of_one_address),
        cmocka_unit_test(a_descriptor_that_comes_again),
        cmocka_unit_test(any_coming_and_going),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(small_steps_from_large_ones),
        cmocka_unit_test(nothing_for_strangers),
        cmocka_unit_test(a_file_cut_short_ends_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
