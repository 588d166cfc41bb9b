/*
 * The role that carries other people's connections: an HTTP proxy for CONNECT (RFC 9110 section 9.3.6) that
 * serves the destinations of its allow-list (allow.h) and no others.
 */
#ifndef PLAIT_RELAY_RELAY_H
#define PLAIT_RELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>

enum plait_relay_exit { PLAIT_RELAY_DONE = 0, PLAIT_RELAY_FAILED = 1, PLAIT_RELAY_USAGE = 2 };

#define PLAIT_RELAY_LISTEN      "127.0.0.1:3128"
#define PLAIT_RELAY_CONNECTIONS 1024u
#define PLAIT_RELAY_PER_ADDRESS 128u
#define PLAIT_RELAY_IDLE_S      300u
#define PLAIT_RELAY_CONNECT_S   15u
#define PLAIT_RELAY_GRACE_S     30u

/* All borrowed until plait_relay_run returns. */
struct plait_relay_options {
    const char *listen; /* as plait_listener_config has it */
    const char *const *allow;
    size_t allow_count;
    const char *auth_file;    /* of access.h; NULL: no credentials are asked for */
    unsigned connections_max; /* in all */
    unsigned per_address_max;
    unsigned idle_s;              /* a tunnel in which nothing moves for so long is closed */
    unsigned connect_s;           /* to resolve and connect, all addresses together */
    unsigned grace_s;             /* for tunnels to end by themselves after the first SIGTERM */
    double rate;                  /* bytes/s of all tunnels together, both directions; 0 = no limit */
    const char *log_file;         /* JSON lines are appended; NULL: standard error; "": no log */
    bool json;                    /* one line on standard output once it listens */
    const char *const *directors; /* URLs of one director, to register with */
    size_t director_count;
    const char *secret_file;                    /* of sign.h, for the director */
    const char *cert_file, *key_file, *ca_file; /* PEM, for a director with TLS */
    const char *public_url; /* where clients reach the relay; NULL: the listening address, unless it is all */
    const char *name;       /* its id at the director; NULL: made from host and port */
};

/* Runs until a signal ends it, and says on standard error what goes wrong. Returns the exit status. */
int plait_relay_run(const struct plait_relay_options *options);

#endif
