#include "clients.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "units.h"

#define BUCKETS     1024 /* a power of two */
#define NONE        (-1)
/* In a pressing sweep; also what a newcomer has to ask before a leaving server shuts it down. */
#define PATIENCE_NS PLAIT_S

enum phase { FREE, NEW, ASKED, ANSWERING, IDLE };

struct client {
    uint64_t address[2]; /* whom it counts for */
    uint64_t since;      /* ns: of the phase */
    uint64_t file_sent, file_end;
    int file_fd;
    int next, previous; /* in the bucket of its address */
    enum phase phase;
};

struct plait_clients {
    struct plait_clients_limits limits;
    pthread_mutex_t lock; /* of all below */
    struct client *at;    /* by descriptor */
    int fd_max, fd_top;   /* no client has fd_top or higher */
    size_t count;
    int buckets[BUCKETS];
};

int plait_clients_new(struct plait_clients **out, const struct plait_clients_limits *limits, int fd_max)
{
    struct plait_clients *c = calloc(1, sizeof *c);

    if (c == NULL)
        return PLAIT_ERR_NOMEM;
    c->at = calloc((size_t)fd_max, sizeof *c->at);
    if (c->at == NULL) {
        free(c);
        return PLAIT_ERR_NOMEM;
    }
    c->limits = *limits;
    c->fd_max = fd_max;
    pthread_mutex_init(&c->lock, NULL);
    for (size_t i = 0; i < BUCKETS; i++)
        c->buckets[i] = NONE;
    *out = c;
    return PLAIT_OK;
}

void plait_clients_free(struct plait_clients *c)
{
    if (c == NULL)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->at);
    free(c);
}

static void address_of(const struct sockaddr *peer, uint64_t address[2])
{
    address[0] = peer->sa_family;
    address[1] = 0;
    if (peer->sa_family == AF_INET)
        memcpy(&address[1], &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    else if (peer->sa_family == AF_INET6)
        memcpy(&address[1], &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 8);
}

static int *bucket_of(struct plait_clients *c, const uint64_t address[2])
{
    uint64_t h = (address[0] ^ address[1]) * UINT64_C(0x9e3779b97f4a7c15);

    return &c->buckets[h >> 54 & (BUCKETS - 1)];
}

static unsigned count_of(struct plait_clients *c, const uint64_t address[2])
{
    unsigned n = 0;

    for (int i = *bucket_of(c, address); i != NONE; i = c->at[i].next)
        n += memcmp(c->at[i].address, address, sizeof c->at[i].address) == 0;
    return n;
}

static void forget(struct plait_clients *c, int fd)
{
    struct client *client = &c->at[fd];

    if (client->phase == FREE)
        return;
    *(client->previous != NONE ? &c->at[client->previous].next : bucket_of(c, client->address)) =
        client->next;
    if (client->next != NONE)
        c->at[client->next].previous = client->previous;
    client->phase = FREE;
    c->count--;
    while (c->fd_top > 0 && c->at[c->fd_top - 1].phase == FREE)
        c->fd_top--;
}

static int admit(struct plait_clients *c, int fd, const uint64_t address[2], uint64_t now)
{
    /* A descriptor that comes anew was closed before, also where nobody has told. */
    forget(c, fd);
    if (c->count >= c->limits.total)
        return PLAIT_ERR_NOMEM;
    if (c->limits.per_address > 0 && count_of(c, address) >= c->limits.per_address)
        return PLAIT_ERR_LIMIT;
    int *bucket = bucket_of(c, address);
    c->at[fd] = (struct client){{address[0], address[1]}, now, 0, 0, -1, *bucket, NONE, NEW};
    if (*bucket != NONE)
        c->at[*bucket].previous = fd;
    *bucket = fd;
    c->count++;
    if (fd >= c->fd_top)
        c->fd_top = fd + 1;
    return PLAIT_OK;
}

int plait_clients_admit(struct plait_clients *c, int fd, const struct sockaddr *peer, uint64_t now)
{
    uint64_t address[2];

    if (fd < 0 || fd >= c->fd_max)
        return PLAIT_ERR_NOMEM;
    address_of(peer, address);
    pthread_mutex_lock(&c->lock);
    int rc = admit(c, fd, address, now);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

void plait_clients_forget(struct plait_clients *c, int fd)
{
    if (fd < 0 || fd >= c->fd_max)
        return;
    pthread_mutex_lock(&c->lock);
    forget(c, fd);
    pthread_mutex_unlock(&c->lock);
}

static void enter(struct plait_clients *c, int fd, enum phase phase, uint64_t now, int file_fd,
                  uint64_t file_end)
{
    if (fd < 0 || fd >= c->fd_max)
        return;
    pthread_mutex_lock(&c->lock);
    struct client *client = &c->at[fd];
    if (client->phase != FREE) {
        client->phase = phase;
        client->since = now;
        client->file_fd = file_fd;
        client->file_sent = 0;
        client->file_end = file_end;
    }
    pthread_mutex_unlock(&c->lock);
}

void plait_clients_asked(struct plait_clients *c, int fd, uint64_t now)
{
    enter(c, fd, ASKED, now, -1, 0);
}

void plait_clients_answering(struct plait_clients *c, int fd, int file_fd, uint64_t file_end)
{
    enter(c, fd, ANSWERING, 0, file_fd, file_end);
}

void plait_clients_answered(struct plait_clients *c, int fd, uint64_t now)
{
    enter(c, fd, IDLE, now, -1, 0);
}

bool plait_clients_sending(struct plait_clients *c, int fd, int file_fd, uint64_t *sent, uint64_t *file_end)
{
    if (fd < 0 || fd >= c->fd_max)
        return false;
    pthread_mutex_lock(&c->lock);
    const struct client *client = &c->at[fd];
    bool is = client->phase == ANSWERING && client->file_fd == file_fd;
    if (is) {
        *sent = client->file_sent;
        *file_end = client->file_end;
    }
    pthread_mutex_unlock(&c->lock);
    return is;
}

void plait_clients_sent(struct plait_clients *c, int fd, uint64_t sent)
{
    pthread_mutex_lock(&c->lock);
    c->at[fd].file_sent = sent;
    pthread_mutex_unlock(&c->lock);
}

static bool has_left(int fd)
{
    int unsent;

    return ioctl(fd, SIOCOUTQ, &unsent) != 0 || unsent == 0;
}

static bool is_cut_short(const struct client *client)
{
    struct stat st;

    return client->file_fd >= 0 && fstat(client->file_fd, &st) == 0 &&
           (uint64_t)st.st_size < client->file_end;
}

static bool must_go(const struct plait_clients *c, int fd, enum plait_clients_sweep kind, uint64_t now)
{
    const struct client *client = &c->at[fd];
    uint64_t age = plait_since(now, client->since);

    switch (client->phase) {
    case NEW:
        return age > (kind == PLAIT_SWEEP_LEAVING ? PATIENCE_NS : c->limits.head_ns);
    case ASKED:
        return age > c->limits.head_ns;
    case ANSWERING:
        return is_cut_short(client);
    case IDLE:
        if (kind == PLAIT_SWEEP_LEAVING)
            return has_left(fd);
        return age > (kind == PLAIT_SWEEP_PRESSING ? PATIENCE_NS : c->limits.idle_ns);
    case FREE:
        break;
    }
    return false;
}

size_t plait_clients_sweep(struct plait_clients *c, enum plait_clients_sweep kind, uint64_t now)
{
    pthread_mutex_lock(&c->lock);
    for (int fd = 0; fd < c->fd_top; fd++) {
        if (must_go(c, fd, kind, now))
            shutdown(fd, SHUT_RDWR);
    }
    size_t count = c->count;
    pthread_mutex_unlock(&c->lock);
    return count;
}
