#include "send_ahead.h"

#include <stdatomic.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "units.h"

static _Atomic(struct plait_clients *) announced;

void plait_send_ahead_for(struct plait_clients *clients)
{
    atomic_store(&announced, clients);
}

static ssize_t send_file(int out, int in, off64_t *offset, size_t count)
{
#ifdef SYS_sendfile64
    return syscall(SYS_sendfile64, out, in, offset, count);
#else
    return syscall(SYS_sendfile, out, in, offset, count);
#endif
}

/*
 * What was sent ahead is told to the caller first, and only then that the socket is full or broken: an error it
 * hears of must be about the byte it stands at. It is told of fewer bytes than it wanted only right after the
 * socket refused more, so that the edge it will wait for is still to come.
 */
ssize_t sendfile64(int out, int in, off64_t *offset, size_t count)
{
    struct plait_clients *clients = atomic_load(&announced);
    uint64_t sent, end;

    if (clients == NULL || offset == NULL || *offset < 0 ||
        !plait_clients_sending(clients, out, in, &sent, &end))
        return send_file(out, in, offset, count);
    uint64_t at = (uint64_t)*offset;
    uint64_t want = plait_min_u64(at + count, end);
    sent = plait_max_u64(sent, at);
    if (sent < want) {
        off64_t from = (off64_t)sent;
        ssize_t n = send_file(
            out, in, &from, (size_t)plait_max_u64(want - sent, plait_min_u64(PLAIT_SEND_AHEAD, end - sent)));
        if (n == 0)
            shutdown(out, SHUT_RDWR);
        if (n <= 0 && sent == at)
            return n;
        sent += n > 0 ? (uint64_t)n : 0;
        plait_clients_sent(clients, out, sent);
    }
    uint64_t told = plait_min_u64(sent, want) - at;
    *offset += (off64_t)told;
    return (ssize_t)told;
}
