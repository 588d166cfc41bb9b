/*
 * Who we are to the other end of a tunnel: the key pair, the number of this start of the program, and how fast this
 * machine is at each cipher.
 */
#ifndef PLAIT_END_SELF_H
#define PLAIT_END_SELF_H

#include "aead.h"
#include "key.h"
#include "session.h"

struct plait_self {
    struct plait_identity identity;
    uint64_t instance;
    struct plait_aead_speeds speeds;
};

/* The kernel's randomness. */
extern const struct plait_random plait_kernel_random;

/* Reads the key file; says what is wrong with it. PLAIT_ERR_*. */
PLAIT_MUST_USE int plait_self_read_key(const char *path, struct plait_identity *out);
/* Reads the key and measures the ciphers, which takes some milliseconds. Says what is wrong. */
PLAIT_MUST_USE int plait_self_init(struct plait_self *self, const char *key_file);
void plait_self_done(struct plait_self *self);
/* What sessions of this thread need; `crypto` and `self` are borrowed for as long as they last. */
struct plait_session_config plait_self_session(const struct plait_self *self, struct plait_crypto *crypto);
/* The time of day, in nanoseconds since 1970. */
uint64_t plait_self_wall(void);

#endif
