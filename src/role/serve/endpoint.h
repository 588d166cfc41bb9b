/*
 * Addresses to listen on, and listening.
 */
#ifndef PLAIT_SERVE_ENDPOINT_H
#define PLAIT_SERVE_ENDPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* "[v6%scope]:port" with its terminator. */
#define PLAIT_ENDPOINT_TEXT_SIZE 80

struct plait_endpoint {
    int fd; /* owned: listening, non-blocking */
    char
        text[PLAIT_ENDPOINT_TEXT_SIZE]; /* the bound address and port, `192.0.2.1:80` or `[2001:db8::1]:80` */
    uint16_t port;
};

/*
 * Listens on `ADDR:PORT`, `[ADDR]:PORT` or `:PORT`, where ADDR may be a name; an empty one, or `*`, stands for
 * every address of both families; port 0 takes a free one. A name with several addresses gives several
 * endpoints, `room` at most. An IPv6 endpoint takes IPv6 only.
 *
 * All or none: PLAIT_ERR_FORMAT for another form, PLAIT_ERR_NOTFOUND for a name without an address,
 * PLAIT_ERR_LIMIT where there is not room enough, PLAIT_ERR_IO (errno) where an address cannot be had. Except
 * in the case of PLAIT_ERR_FORMAT, `failed` then names the address it is about. Of an empty ADDR, a family
 * that this machine does not have is left out.
 */
PLAIT_MUST_USE int plait_endpoint_listen(const char *where, struct plait_endpoint *out, size_t room,
                                         size_t *count, char failed[PLAIT_ENDPOINT_TEXT_SIZE]);
void plait_endpoint_close(struct plait_endpoint *endpoint);

#endif
