/*
 * Keeps a server or a relay registered with a director (doc/director.md), in a thread of its own.
 *
 * The registrar registers, sends heartbeats, tells changes of the contents, registers again where the
 * director has forgotten, goes over to the next director where one does not answer, and withdraws at the end.
 * What goes wrong is told and tried again, for as long as it lives: a director that is away never stops a
 * server.
 *
 * All functions return at once but plait_registrar_free, which waits PLAIT_REGISTRAR_LEAVE_MS at most.
 */
#ifndef PLAIT_IO_REGISTRAR_H
#define PLAIT_IO_REGISTRAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "sign.h"

#define PLAIT_REGISTRAR_LEAVE_MS     3000
#define PLAIT_REGISTRAR_SIZE_UNKNOWN UINT64_MAX
#define PLAIT_REGISTRAR_ID_MAX                                                                               \
    128 /* letters, digits, `.`, `_`, `~` and `-`; the first is a letter or a digit */

struct plait_registrar;

/* One stream that a server holds. */
struct plait_registrar_stream {
    const char *
        name; /* what the director knows it by; below the server's URL it is found as this, percent-encoded */
    uint64_t size;      /* bytes, or SIZE_UNKNOWN while it is being written */
    const char *sha256; /* in hexadecimal, or NULL */
    const char *sha512; /* likewise */
};

/* All copied, except what says otherwise. */
struct plait_registrar_config {
    const char *const *directors; /* URLs of http or https, each another way to the same one; at least one */
    size_t director_count;
    const char *id;             /* what the director tells us from others by (stream_name.h) */
    bool is_relay;              /* otherwise a server of streams */
    const char *url;            /* where clients reach us: what the names are appended to, or the proxy */
    const char *const *reaches; /* a relay: the destinations it serves, as they are written in --allow */
    size_t reach_count;
    bool asks_credentials;             /* a relay */
    const struct plait_secret *secret; /* or NULL */
    const char *cert_file, *key_file;  /* to prove ourselves by TLS; or NULL */
    const char *ca_file; /* that the director's certificate is checked against; NULL: the system's */
    const char *agent;   /* User-Agent */
    unsigned ttl_ms;     /* forgotten after so long without a heartbeat; 0 = the default, 30,000 */
    /* Words for people: `bad` where something does not work (now). Called in the registrar's thread. May be
     * NULL. */
    void (*say)(void *ctx, bool bad, const char *text);
    void *ctx; /* borrows */
};

/* Starts it. Returns owned, or NULL: out of memory or threads. The server has no streams as yet. */
struct plait_registrar *plait_registrar_new(const struct plait_registrar_config *config);
/*
 * These, and no others, are the streams now: all copied, in any order; of two with one name the last counts.
 * The registrar finds out what is new and what has gone. PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_registrar_set_streams(struct plait_registrar *r,
                                               const struct plait_registrar_stream *streams, size_t count);
/* Whether the director knows us, as far as we know. */
bool plait_registrar_is_registered(struct plait_registrar *r);
/* Begins to withdraw: from now on the director sends nobody to us. */
void plait_registrar_leave(struct plait_registrar *r);
/*
 * Withdraws, ends the thread. False: it hangs in the system's resolver, and frees its memory when that lets go of it; a
 * process that ends meanwhile has to be left by _exit. NULL is harmless.
 */
bool plait_registrar_free(struct plait_registrar *r);

#endif
