/*
 * Larger steps for files that go straight to the socket.
 *
 * libmicrohttpd's event loop gives a connection 128 KiB at a time to sendfile(2). Over a fast path each of these small
 * steps sets off a whole round of the kernel's network code; measured over a veth the server then used half as much
 * processor time again for each byte. So the program has a sendfile64 of its own, which the dynamic linker
 * gives to libmicrohttpd instead of the C library's. For an answer that plait_clients_answering has announced, it sends
 * up to PLAIT_SEND_AHEAD bytes in one step, never past the answer's end, and lets the caller's next steps
 * come after without a system call. To the caller it is an ordinary sendfile64: as many bytes as were asked for or
 * fewer, fewer only when the socket takes no more, and errors where they belong.
 *
 * A file that has become too short to finish the answer is noticed here at once: the connection is shut down.
 */
#ifndef PLAIT_SERVE_SEND_AHEAD_H
#define PLAIT_SERVE_SEND_AHEAD_H

#include <stdint.h>

#include "clients.h"

#define PLAIT_SEND_AHEAD (UINT64_C(2) * 1024 * 1024)

/* From now on for these clients (borrowed), or for none: NULL. While no answer is under way. */
void plait_send_ahead_for(struct plait_clients *clients);

#endif
