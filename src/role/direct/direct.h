/*
 * The role that knows which servers hold which streams, and tells whoever asks (doc/director.md).
 */
#ifndef PLAIT_DIRECT_DIRECT_H
#define PLAIT_DIRECT_DIRECT_H

#include <stdbool.h>

enum plait_direct_exit { PLAIT_DIRECT_DONE = 0, PLAIT_DIRECT_FAILED = 1, PLAIT_DIRECT_USAGE = 2 };

#define PLAIT_DIRECT_LISTEN      "127.0.0.1:4050"
#define PLAIT_DIRECT_CONNECTIONS 4096u
#define PLAIT_DIRECT_PER_ADDRESS 256u

/* All borrowed until plait_direct_run returns. */
struct plait_direct_options {
    const char *listen;               /* of plait_listener_config */
    const char *store;                /* of plait_store_open */
    const char *secret_file;          /* of sign.h: who may register; or NULL */
    const char *cert_file, *key_file; /* PEM; or NULL: no TLS */
    const char *client_ca_file;       /* PEM: whose certificates may register; needs TLS; or NULL */
    unsigned connections_max, per_address_max;
    bool json; /* one line on standard output once it listens */
};

/* Runs until a signal ends it, and says on standard error what happens. Returns the exit status. */
int plait_direct_run(const struct plait_direct_options *options);

#endif
