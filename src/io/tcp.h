/* What the kernel knows of a TCP connection. */
#ifndef PLAIT_IO_TCP_H
#define PLAIT_IO_TCP_H

#include <stdint.h>

/* The least round trip seen, right after connecting that of the handshake, in ns; 0 = unknown. */
uint64_t plait_tcp_rtt_ns(int fd);

#endif
