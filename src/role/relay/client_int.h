/*
 * One client of the relay, for the files that are about its states: client.c (which has the theory), reach.c (RESOLVE and
 * CONNECT), tunnel.c (TUNNEL), and its sockets on the loop (socket.c).
 */
#ifndef PLAIT_RELAY_CLIENT_INT_H
#define PLAIT_RELAY_CLIENT_INT_H

#include "ask.h"
#include "relay_int.h"
#include "units.h"

#define PLAIT_REACH_ADDRESSES_MAX 16 /* of a name's */

enum state { HEAD, CHECK, RESOLVE, CONNECT, TUNNEL, BYE };

/* A socket on the loop. In memory of its own, which goes when libuv has let go of it. */
struct plait_socket {
    uv_poll_t poll;
    struct plait_client *client; /* NULL: closed */
    int fd;
    int mask; /* what the loop watches for */
};

struct plait_client {
    struct plait_relay *relay;
    struct plait_client *next, **link; /* in relay->clients */
    TAILQ_ENTRY(plait_client) silent;  /* in state HEAD */
    struct plait_client *next_paused;
    bool is_silent;
    bool is_paused;
    bool is_closed; /* waits for the resolver to come back */
    enum state state;
    struct sockaddr_storage peer;
    struct plait_socket *near, *far;
    uint64_t started, deadline;
    char *head; /* what the client sent, up to the head's end and beyond */
    size_t head_len;
    struct plait_ask ask;
    char user[PLAIT_ASK_USER_MAX + 1]; /* who has shown to be */
    struct plait_access_check *check;
    uv_getaddrinfo_t resolver;
    bool is_resolving;
    struct plait_address addresses[PLAIT_REACH_ADDRESSES_MAX];
    size_t address_count, address_at;
    uint64_t connect_by;
    bool timed_out; /* the last address that was tried did not answer */
    struct plait_pump up, down;
    char *reply; /* BYE */
    size_t reply_len, reply_sent, drained;
    int status;
};

/* Returns owned, or NULL: then the descriptor is still the caller's. */
struct plait_socket *plait_socket_new(struct plait_client *c, int fd);
/* Watches for UV_READABLE and UV_WRITABLE, or for nothing. NULL is harmless. */
void plait_socket_watch(struct plait_socket *w, int mask);
/* Closes; `reset`: so that the other end sees that this was not a proper end. NULL is harmless. */
void plait_socket_close(struct plait_socket *w, bool reset);

/* Something has happened to one of the client's sockets. */
void plait_client_event(struct plait_client *c, const struct plait_socket *w, int status, int events);
/* Ends the client; `end` is what the log says. `c` is gone, or will be when the resolver comes back. */
void plait_client_close(struct plait_client *c, const char *end, bool reset);
void plait_client_free(struct plait_client *c);
/* Answers with words instead of a tunnel. The client may be gone after that. */
void plait_client_turn_away(struct plait_client *c, int status, const char *reason, const char *words);

/* The client may: finds its destination. */
void plait_reach(struct plait_client *c);
/* The far socket has connected, or failed to. */
void plait_reach_connected(struct plait_client *c);
/* On to the next address. */
void plait_reach_give_up(struct plait_client *c, bool timed_out);

/* What a client is told when its tunnel begins. */
#define PLAIT_ESTABLISHED     "HTTP/1.1 200 Connection established\r\n\r\n"
#define PLAIT_ESTABLISHED_LEN (sizeof PLAIT_ESTABLISHED - 1)

void plait_tunnel_begin(struct plait_client *c, size_t head_len);
void plait_tunnel_event(struct plait_client *c, bool near, int events);
/* Takes it off the list of those that wait for the rate. */
void plait_tunnel_unpause(struct plait_client *c);

#endif
