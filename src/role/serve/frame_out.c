#include "frame_out.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "units.h"

/* Unsent bytes: what goes out in this time, within bounds; the first before any rate is known. */
#define UNSENT_TIME  (20 * PLAIT_MS)
#define UNSENT_MIN   (8 * PLAIT_KIB)
#define UNSENT_MAX   (2 * PLAIT_MIB)
#define UNSENT_FIRST (64 * PLAIT_KIB)
#define TLS_RECORD   ((size_t)16 * 1024)
#define AHEAD_PART   2u /* of that, what may be put together */

static void set_tcp(const struct plait_frame_out *o, int option, unsigned value)
{
    /* Where the kernel refuses, the connection is only less well timed. */
    (void)setsockopt(o->socket, IPPROTO_TCP, option, &value, sizeof value);
}

static void set_lowat(struct plait_frame_out *o, unsigned bytes)
{
    o->lowat = bytes;
    set_tcp(o, TCP_NOTSENT_LOWAT, bytes);
}

void plait_frame_out_init(struct plait_frame_out *o, int socket, gnutls_session_t tls, int file,
                          unsigned stall_ms)
{
    *o = (struct plait_frame_out){.socket = socket, .tls = tls, .file = file};
    set_tcp(o, TCP_USER_TIMEOUT, stall_ms);
    set_tcp(o, TCP_NODELAY, 1);
    set_lowat(o, UNSENT_FIRST);
}

/* What nobody is sent counts as written, so that the numbers are those of frames. */
static void leave_bare(struct plait_frame_out *o, enum plait_frame_type type)
{
    size_t spared = o->head_left;

    o->head_left = 0;
    if (type != PLAIT_FRAME_BLOCK) {
        spared += o->left;
        o->left = 0;
    }
    o->written += spared;
    o->saved += spared;
}

void plait_frame_out_begin(struct plait_frame_out *o, const struct plait_frame *frame, uint64_t offset,
                           const char *text)
{
    int rc = plait_frame_encode(frame, o->head);

    assert(rc == PLAIT_OK && !plait_frame_out_busy(o));
    o->head_left = sizeof o->head;
    o->left = frame->length;
    o->offset = offset;
    o->text = text;
    if (o->bare)
        leave_bare(o, frame->type);
    if (!o->corked && o->tls == NULL) {
        set_tcp(o, TCP_CORK, 1);
        o->corked = true;
    }
}

bool plait_frame_out_takes_more(const struct plait_frame_out *o, uint32_t len)
{
    uint64_t have = o->head_left + o->left + o->next_bytes;

    return o->tls == NULL && !o->bare && o->text == NULL && o->head_left == sizeof o->head &&
           o->next_count < PLAIT_FRAME_OUT_AHEAD &&
           have + sizeof o->head + len <= plait_min_u64(o->lowat / AHEAD_PART, PLAIT_FRAME_PIPE_BYTES);
}

void plait_frame_out_append(struct plait_frame_out *o, const struct plait_frame *frame, uint64_t offset)
{
    assert(o->next_count < PLAIT_FRAME_OUT_AHEAD && plait_frame_out_busy(o));
    o->next[o->next_count++] = (struct plait_frame_out_next){*frame, offset};
    o->next_bytes += sizeof o->head + frame->length;
}

bool plait_frame_out_busy(const struct plait_frame_out *o)
{
    return o->head_left > 0 || o->left > 0 || o->record > 0;
}

void plait_frame_out_flush(struct plait_frame_out *o)
{
    if (o->corked)
        set_tcp(o, TCP_CORK, 0);
    o->corked = false;
}

void plait_frame_out_end(struct plait_frame_out *o)
{
    plait_frame_out_flush(o);
    /* Over TLS an end that is not announced would look like an attack; where it cannot be, all is left as it is. */
    if (!o->ended && (o->tls == NULL || gnutls_bye(o->tls, GNUTLS_SHUT_WR) == GNUTLS_E_SUCCESS))
        o->ended = shutdown(o->socket, SHUT_WR) == 0;
}

/* The present frame is out: the next one is the present one, if there is one. */
static void promote(struct plait_frame_out *o)
{
    const struct plait_frame_out_next *next = &o->next[0];

    if (o->next_count == 0)
        return;
    int rc = plait_frame_encode(&next->frame, o->head);
    assert(rc == PLAIT_OK);
    (void)rc;
    o->head_left = sizeof o->head;
    o->left = next->frame.length;
    o->offset = next->offset;
    o->next_bytes -= sizeof o->head + o->left;
    memmove(&o->next[0], &o->next[1], --o->next_count * sizeof *next);
}

/* So many bytes of the frame have been taken. */
static void advance(struct plait_frame_out *o, size_t n)
{
    size_t of_head = plait_min_u64(n, o->head_left);

    o->written += n;
    o->head_left -= of_head;
    n -= of_head;
    o->left -= (uint32_t)n;
    o->offset += n;
    if (o->text != NULL)
        o->text += n;
    if (o->head_left == 0 && o->left == 0)
        promote(o);
}

static enum plait_frame_out_result refusal_of(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK ? PLAIT_FRAME_OUT_FULL : PLAIT_FRAME_OUT_BROKEN;
}

static ssize_t write_some(struct plait_frame_out *o)
{
    off_t offset = (off_t)o->offset;

    if (o->head_left > 0)
        return send(o->socket, o->head + sizeof o->head - o->head_left, o->head_left,
                    MSG_NOSIGNAL | (o->left > 0 ? MSG_MORE : 0));
    if (o->text != NULL)
        return send(o->socket, o->text, o->left, MSG_NOSIGNAL);
    return sendfile(o->socket, o->file, &offset, o->left);
}

/* All frames, nothing of which is out yet, in one go. */
static ssize_t write_all(struct plait_frame_out *o, struct plait_frame_pipe *pipe)
{
    uint8_t head[PLAIT_FRAME_HEADER_BYTES];
    bool fits = plait_frame_pipe_add(pipe, o->head, sizeof o->head, o->file, o->offset, o->left);

    for (unsigned i = 0; i < o->next_count && fits; i++) {
        const struct plait_frame_out_next *next = &o->next[i];
        if (!plait_frame_pipe_fits(pipe, next->frame.length) ||
            plait_frame_encode(&next->frame, head) != PLAIT_OK)
            break;
        fits = plait_frame_pipe_add(pipe, head, sizeof head, o->file, next->offset, next->frame.length);
    }
    ssize_t n = fits ? plait_frame_pipe_flush(pipe, o->socket) : 0;
    int error = errno;
    plait_frame_pipe_clear(pipe);
    errno = error;
    for (size_t left = n > 0 ? (size_t)n : 0, part; left > 0; left -= part) {
        part = plait_min_u64(left, o->head_left + o->left);
        advance(o, part);
    }
    return n;
}

static enum plait_frame_out_result write_plain(struct plait_frame_out *o, struct plait_frame_pipe *pipe)
{
    while (plait_frame_out_busy(o)) {
        bool several = o->next_count > 0 && o->head_left == sizeof o->head;
        if (several && plait_frame_pipe_fits(pipe, o->left)) {
            ssize_t all = write_all(o, pipe);
            if (all < 0)
                return refusal_of(errno);
            if (all == 0)
                return PLAIT_FRAME_OUT_BROKEN;
            continue;
        }
        ssize_t n = write_some(o);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return refusal_of(errno);
        if (n == 0) /* the file has become shorter */
            return PLAIT_FRAME_OUT_BROKEN;
        advance(o, (size_t)n);
    }
    return PLAIT_FRAME_OUT_DONE;
}

/* The bytes that come next, as many as there is room for. 0: they cannot be read. */
static size_t fill(const struct plait_frame_out *o, uint8_t *room)
{
    size_t want = plait_min_u64(o->left, PLAIT_FRAME_OUT_ROOM - o->head_left);
    ssize_t n = 0;

    memcpy(room, o->head + sizeof o->head - o->head_left, o->head_left);
    if (o->text != NULL) {
        memcpy(room + o->head_left, o->text, want);
        return o->head_left + want;
    }
    while (want > 0 && (n = pread(o->file, room + o->head_left, want, (off_t)o->offset)) < 0 &&
           errno == EINTR)
        ;
    return want > 0 && n <= 0 ? 0 : o->head_left + (size_t)n;
}

/* One record; `bytes` is NULL to go on with what TLS has accepted already. */
static enum plait_frame_out_result write_record(struct plait_frame_out *o, const uint8_t *bytes, size_t len)
{
    ssize_t n = gnutls_record_send(o->tls, bytes, len);

    if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
        if (bytes != NULL)
            o->record = plait_min_u64(len, TLS_RECORD);
        return PLAIT_FRAME_OUT_FULL;
    }
    if (n <= 0)
        return PLAIT_FRAME_OUT_BROKEN;
    o->record = 0;
    advance(o, (size_t)n);
    return PLAIT_FRAME_OUT_DONE;
}

static enum plait_frame_out_result write_tls(struct plait_frame_out *o, uint8_t *room)
{
    enum plait_frame_out_result result = PLAIT_FRAME_OUT_DONE;

    if (o->record > 0)
        result = write_record(o, NULL, 0);
    while (result == PLAIT_FRAME_OUT_DONE && plait_frame_out_busy(o)) {
        size_t have = fill(o, room), at = 0;
        if (have == 0)
            return PLAIT_FRAME_OUT_BROKEN;
        while (at < have && result == PLAIT_FRAME_OUT_DONE) {
            uint64_t before = o->written;
            result = write_record(o, room + at, plait_min_u64(have - at, TLS_RECORD));
            at += (size_t)(o->written - before);
        }
    }
    return result;
}

enum plait_frame_out_result plait_frame_out_write(struct plait_frame_out *o,
                                                  uint8_t room[PLAIT_FRAME_OUT_ROOM],
                                                  struct plait_frame_pipe *pipe)
{
    return o->tls != NULL ? write_tls(o, room) : write_plain(o, pipe);
}

/* As the kernel numbers the states of a connection. */
enum {
    TCP_ESTABLISHED = 1,
    TCP_FIN_WAIT1 = 4,
    TCP_FIN_WAIT2 = 5,
    TCP_CLOSE = 7,
    TCP_CLOSE_WAIT = 8,
    TCP_LAST_ACK = 9,
    TCP_CLOSING = 11,
};

/* A change by half or more is worth telling the kernel. */
static void adapt_lowat(struct plait_frame_out *o, double rate)
{
    double fit = rate * plait_to_s(UNSENT_TIME);
    uint64_t want = plait_clamp_u64(fit < 1e9 ? (uint64_t)fit : UNSENT_MAX, UNSENT_MIN, UNSENT_MAX);

    if (want >= o->lowat + o->lowat / 2 || want <= o->lowat / 2)
        set_lowat(o, (unsigned)want);
}

/* Also where one side has ended it: what was written may still be under way. */
static bool is_open(unsigned state)
{
    return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT || state == TCP_FIN_WAIT1 ||
           state == TCP_FIN_WAIT2 || state == TCP_LAST_ACK || state == TCP_CLOSING;
}

/* Of a connection that both sides have closed: whether all has arrived. */
static bool has_ended_well(const struct plait_frame_out *o)
{
    int error;
    socklen_t len = sizeof error;

    return o->ended && getsockopt(o->socket, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

void plait_frame_out_look(struct plait_frame_out *o, struct plait_frame_out_link *link)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    int queued;

    *link = (struct plait_frame_out_link){.unsent_bytes = o->head_left + o->left + o->next_bytes};
    bool known = ioctl(o->socket, SIOCOUTQ, &queued) == 0 && queued >= 0;
    memset(&info, 0, sizeof info);
    if (getsockopt(o->socket, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return;
    /* The queue also holds what came before the first frame, and what TLS adds: that errs on the safe side. Of a
     * connection that has been reset it tells nothing. */
    if (known && (uint64_t)queued <= o->written && is_open(info.tcpi_state))
        o->acked = plait_max_u64(o->acked, o->written - (uint64_t)queued);
    if (info.tcpi_state == TCP_CLOSE && has_ended_well(o))
        o->acked = o->written;
    link->unsent_bytes += info.tcpi_notsent_bytes;
    link->rate = (double)info.tcpi_delivery_rate;
    link->rtt_ns = info.tcpi_rtt * PLAIT_US;
    link->rtt_min_ns = info.tcpi_min_rtt <= info.tcpi_rtt ? info.tcpi_min_rtt * PLAIT_US : 0;
    link->rto_ns = info.tcpi_retransmits == 0 ? info.tcpi_rto * PLAIT_US : 0;
    if (link->rate > 0)
        adapt_lowat(o, link->rate);
}
