/* Frames into a socket: one by one and several at once, whatever the socket takes of them. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frame_out.h"
#include "prng.h"
#include "units.h"

#define BLOCK  ((uint32_t)(16 * PLAIT_KIB))
#define BLOCKS 96u
#define SIZE   (BLOCKS * (size_t)BLOCK - 1234)

struct kit {
    uint8_t *content, *got;
    size_t got_count, got_max;
    int file, ends[2];
    struct plait_frame_out out;
    struct plait_frame_pipe pipe;
    uint8_t room[PLAIT_FRAME_OUT_ROOM];
};

static uint32_t block_len(uint64_t block)
{
    return (uint32_t)plait_min_u64(BLOCK, SIZE - block * BLOCK);
}

static void kit_init(struct kit *k, int sndbuf)
{
    char name[] = "/tmp/plait-frame-out-XXXXXX";
    struct plait_prng r = {.state = 7};

    k->content = malloc(SIZE);
    k->got_max = SIZE + (BLOCKS + 16) * PLAIT_FRAME_HEADER_BYTES;
    k->got = malloc(k->got_max);
    k->got_count = 0;
    assert_non_null(k->content);
    assert_non_null(k->got);
    for (size_t i = 0; i < SIZE; i++)
        k->content[i] = (uint8_t)plait_prng_next(&r);
    k->file = mkstemp(name);
    assert_true(k->file >= 0);
    unlink(name);
    assert_int_equal(write(k->file, k->content, SIZE), SIZE);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, k->ends), 0);
    if (sndbuf > 0)
        assert_int_equal(setsockopt(k->ends[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf), 0);
    plait_frame_out_init(&k->out, k->ends[0], NULL, k->file, 1000);
    plait_frame_pipe_init(&k->pipe);
}

static void kit_done(struct kit *k)
{
    plait_frame_pipe_done(&k->pipe);
    close(k->ends[0]);
    close(k->ends[1]);
    close(k->file);
    free(k->content);
    free(k->got);
}

/* Takes at most so many bytes. */
static void take(struct kit *k, size_t most)
{
    ssize_t n;

    most = plait_min_u64(most, k->got_max - k->got_count);
    while (most > 0 && (n = recv(k->ends[1], k->got + k->got_count, most, 0)) > 0) {
        k->got_count += (size_t)n;
        most -= (size_t)n;
    }
}

/* What came is the frames of all blocks in their order, a mark behind each tenth, and the end. */
static void check(const struct kit *k)
{
    struct plait_frame_decoder d;
    struct plait_frame_event e = {.kind = PLAIT_FRAME_EV_BLOCK_BEGIN};
    struct plait_reader slice;
    uint64_t blocks = 0, marks = 0;
    bool ended = false;

    assert_int_equal(plait_frame_decoder_init(&d, BLOCK, SIZE), PLAIT_OK);
    plait_reader_init(&slice, k->got, k->got_count);
    while (e.kind != PLAIT_FRAME_EV_NEED) {
        assert_int_equal(plait_frame_decode(&d, &slice, &e), PLAIT_OK);
        if (e.kind == PLAIT_FRAME_EV_BLOCK_BYTES)
            assert_memory_equal(e.bytes, k->content + e.sequence * BLOCK + e.offset, e.len);
        if (e.kind == PLAIT_FRAME_EV_BLOCK_END)
            assert_int_equal(e.sequence, blocks++);
        marks += e.kind == PLAIT_FRAME_EV_MARK;
        ended |= e.kind == PLAIT_FRAME_EV_END;
    }
    assert_int_equal(blocks, BLOCKS);
    assert_int_equal(marks, (BLOCKS - 1) / 10);
    assert_true(ended);
}

/* The i-th frame that is to go out. False after the last. */
static bool frame_at(unsigned i, struct plait_frame *frame, uint64_t *offset)
{
    unsigned block = i - i / 11;

    *offset = (uint64_t)block * BLOCK;
    if (block >= BLOCKS) {
        *frame = (struct plait_frame){PLAIT_FRAME_END, 0, BLOCKS};
        return block == BLOCKS;
    }
    *frame = i % 11 == 10 ? (struct plait_frame){PLAIT_FRAME_MARK, 0, block}
                          : (struct plait_frame){PLAIT_FRAME_BLOCK, block_len(block), block};
    return true;
}

/* Sends it all; `read` bytes are taken whenever the socket is full. Returns the most that waited behind a frame. */
static unsigned send_all(struct kit *k, unsigned lowat, size_t read)
{
    struct plait_frame frame = {0};
    uint64_t offset = 0, began = 0;
    unsigned i = 0, most = 0;

    k->out.lowat = lowat;
    while (plait_frame_out_busy(&k->out) || frame_at(i, &frame, &offset)) {
        if (!plait_frame_out_busy(&k->out)) {
            plait_frame_out_begin(&k->out, &frame, offset, NULL);
            began += PLAIT_FRAME_HEADER_BYTES + frame.length;
            i++;
        }
        while (plait_frame_out_takes_more(&k->out, BLOCK) && frame_at(i, &frame, &offset)) {
            plait_frame_out_append(&k->out, &frame, offset);
            began += PLAIT_FRAME_HEADER_BYTES + frame.length;
            i++;
        }
        most = k->out.next_count > most ? k->out.next_count : most;
        enum plait_frame_out_result result = plait_frame_out_write(&k->out, k->room, &k->pipe);
        assert_int_not_equal(result, PLAIT_FRAME_OUT_BROKEN);
        assert_int_equal(plait_frame_out_busy(&k->out), result == PLAIT_FRAME_OUT_FULL);
        assert_int_equal(k->pipe.bytes, 0);
        if (result == PLAIT_FRAME_OUT_FULL)
            take(k, read);
    }
    assert_int_equal(k->out.written, began);
    take(k, SIZE_MAX);
    assert_int_equal(k->got_count, began);
    return most;
}

static void test_one_by_one(void **state)
{
    struct kit k;
    (void)state;

    kit_init(&k, 0);
    assert_int_equal(send_all(&k, 0, 5000), 0);
    check(&k);
    kit_done(&k);
}

static void test_several_at_once(void **state)
{
    struct kit k;
    (void)state;

    kit_init(&k, 4 * (int)PLAIT_MIB);
    assert_true(send_all(&k, 2 * (unsigned)PLAIT_MIB, 1000000) > 8);
    check(&k);
    kit_done(&k);
}

/* Whatever is taken of them: each cut lies elsewhere. */
static void test_several_into_little_room(void **state)
{
    static const size_t reads[] = {1, 15, 16, 17, 4096, 16383, 16400, 40001};
    struct kit k;
    (void)state;

    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        kit_init(&k, 20000 + (int)i * 7777);
        assert_true(send_all(&k, 512 * (unsigned)PLAIT_KIB, reads[i] < 1000 ? 3000 + reads[i] : reads[i]) >
                    1);
        check(&k);
        kit_done(&k);
    }
}

/* Without a pipe they go one by one. */
static void test_no_pipe(void **state)
{
    struct kit k;
    (void)state;

    kit_init(&k, 0);
    plait_frame_pipe_done(&k.pipe);
    assert_true(send_all(&k, 2 * (unsigned)PLAIT_MIB, 100000) > 1);
    check(&k);
    kit_done(&k);
}

/* A file that has become shorter breaks the connection; what the peer has is right as far as it goes. */
static void test_a_shorter_file(void **state)
{
    struct kit k;
    struct plait_frame frame = {0};
    uint64_t offset = 0;
    enum plait_frame_out_result result = PLAIT_FRAME_OUT_FULL;
    (void)state;

    kit_init(&k, 0);
    k.out.lowat = 2 * (unsigned)PLAIT_MIB;
    assert_int_equal(ftruncate(k.file, 2 * BLOCK + 100), 0);
    for (unsigned i = 0; i < 6; i++) {
        assert_true(frame_at(i, &frame, &offset));
        if (i == 0)
            plait_frame_out_begin(&k.out, &frame, offset, NULL);
        else
            plait_frame_out_append(&k.out, &frame, offset);
    }
    while (result == PLAIT_FRAME_OUT_FULL) {
        result = plait_frame_out_write(&k.out, k.room, &k.pipe);
        take(&k, SIZE_MAX);
    }
    assert_int_equal(result, PLAIT_FRAME_OUT_BROKEN);
    assert_int_equal(k.pipe.bytes, 0);
    assert_true(k.got_count <= 2 * (PLAIT_FRAME_HEADER_BYTES + BLOCK) + PLAIT_FRAME_HEADER_BYTES + 100);
    kit_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_several_into_little_room),
        cmocka_unit_test(test_no_pipe),
        cmocka_unit_test(test_a_shorter_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
