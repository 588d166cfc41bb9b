#include "endpoint.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024

struct where {
    char host[256]; /* "" = every address */
    char port[8];
};

/* Splits at the last colon; an IPv6 address stands in brackets. */
static int parse(const char *s, struct where *w)
{
    const char *colon = strrchr(s, ':');
    bool brackets = *s == '[';
    const char *host = brackets ? s + 1 : s;
    size_t len = colon != NULL ? (size_t)(colon - host) : 0;

    if (colon == NULL || (brackets && (len < 2 || colon[-1] != ']')) ||
        (!brackets && strchr(s, ':') != colon))
        return PLAIT_ERR_FORMAT;
    len -= brackets ? 1 : 0;
    size_t digits = strspn(colon + 1, "0123456789");
    if (len >= sizeof w->host || digits == 0 || digits > 5 || colon[1 + digits] != '\0')
        return PLAIT_ERR_FORMAT;
    if (len == 1 && host[0] == '*')
        len = 0;
    memcpy(w->host, host, len);
    w->host[len] = '\0';
    memcpy(w->port, colon + 1, digits + 1);
    unsigned port;
    return sscanf(w->port, "%u", &port) == 1 && port <= UINT16_MAX ? PLAIT_OK : PLAIT_ERR_FORMAT;
}

static void name(const struct sockaddr *a, socklen_t len, char text[PLAIT_ENDPOINT_TEXT_SIZE])
{
    char host[64], port[8];

    if (getnameinfo(a, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(text, PLAIT_ENDPOINT_TEXT_SIZE, "?");
    else
        snprintf(text, PLAIT_ENDPOINT_TEXT_SIZE, a->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int bind_listen(int fd, const struct addrinfo *ai)
{
    const int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return PLAIT_ERR_IO;
    if (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
        return PLAIT_ERR_IO;
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        return PLAIT_ERR_IO;
    return PLAIT_OK;
}

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static int listen_on(const struct addrinfo *ai, struct plait_endpoint *out)
{
    union address bound;
    socklen_t len = sizeof bound;

    memset(&bound, 0, sizeof bound);
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return PLAIT_ERR_IO;
    if (bind_listen(fd, ai) != PLAIT_OK || getsockname(fd, &bound.any, &len) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return PLAIT_ERR_IO;
    }
    out->fd = fd;
    out->port = ntohs(bound.any.sa_family == AF_INET6 ? bound.six.sin6_port : bound.four.sin_port);
    name(&bound.any, len, out->text);
    return PLAIT_OK;
}

void plait_endpoint_close(struct plait_endpoint *endpoint)
{
    if (endpoint->fd >= 0)
        close(endpoint->fd);
    endpoint->fd = -1;
}

/* Of every address, both families are asked for the same port, also where the system chooses it. */
static void set_port(const struct addrinfo *ai, uint16_t port)
{
    if (ai->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)ai->ai_addr)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)(void *)ai->ai_addr)->sin_port = htons(port);
}

static int listen_all(const struct addrinfo *first, bool every, struct plait_endpoint *out, size_t room,
                      size_t *count, char failed[PLAIT_ENDPOINT_TEXT_SIZE])
{
    size_t n = 0;
    int rc = PLAIT_OK, error = 0;

    for (const struct addrinfo *ai = first; ai != NULL && rc == PLAIT_OK; ai = ai->ai_next) {
        if (n > 0)
            set_port(ai, out[0].port);
        name(ai->ai_addr, ai->ai_addrlen, failed);
        rc = n < room ? listen_on(ai, &out[n]) : PLAIT_ERR_LIMIT;
        error = errno;
        if (rc == PLAIT_OK)
            n++;
        else if (every && rc == PLAIT_ERR_IO && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL))
            rc = PLAIT_OK;
    }
    if (rc == PLAIT_OK && n == 0)
        rc = PLAIT_ERR_IO;
    if (rc != PLAIT_OK) {
        while (n > 0)
            plait_endpoint_close(&out[--n]);
        errno = error;
        return rc;
    }
    *count = n;
    return PLAIT_OK;
}

int plait_endpoint_listen(const char *where, struct plait_endpoint *out, size_t room, size_t *count,
                          char failed[PLAIT_ENDPOINT_TEXT_SIZE])
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    struct where w;
    int rc = parse(where, &w);

    if (rc != PLAIT_OK)
        return rc;
    snprintf(failed, PLAIT_ENDPOINT_TEXT_SIZE, "%s", where);
    if (getaddrinfo(w.host[0] != '\0' ? w.host : NULL, w.port, &hints, &found) != 0)
        return PLAIT_ERR_NOTFOUND;
    rc = listen_all(found, w.host[0] == '\0', out, room, count, failed);
    int error = errno;
    freeaddrinfo(found);
    errno = error;
    return rc;
}
