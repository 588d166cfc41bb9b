#include "multipart.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "units.h"

#define HEAD_SIZE 256

struct part {
    uint64_t at; /* where its head begins in the body */
    size_t head_len;
    char head[HEAD_SIZE];
    struct plait_range range; /* empty for the end */
};

struct plait_multipart {
    int fd; /* owned */
    char boundary[PLAIT_BOUNDARY_SIZE];
    size_t count; /* the end included */
    struct part parts[];
};

/* Random, so that no file can have been made to contain it. */
static int make_boundary(char out[PLAIT_BOUNDARY_SIZE])
{
    unsigned char noise[(PLAIT_BOUNDARY_SIZE - 1) / 2];

    if (getrandom(noise, sizeof noise, 0) != (ssize_t)sizeof noise)
        return PLAIT_ERR_NOMEM;
    for (size_t i = 0; i < sizeof noise; i++)
        snprintf(out + 2 * i, 3, "%02x", noise[i]);
    return PLAIT_OK;
}

static void make_parts(struct plait_multipart *m, uint64_t size, const char *type,
                       const struct plait_range_set *ranges)
{
    uint64_t at = 0;

    for (size_t i = 0; i < ranges->count; i++) {
        struct part *p = &m->parts[i];
        p->at = at;
        p->range = ranges->at[i];
        p->head_len =
            (size_t)snprintf(p->head, sizeof p->head,
                             "%s--%s\r\nContent-Type: %.100s\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64
                             "/%" PRIu64 "\r\n\r\n",
                             i > 0 ? "\r\n" : "", m->boundary, type, p->range.lo, p->range.hi - 1, size);
        at += p->head_len + (p->range.hi - p->range.lo);
    }
    struct part *end = &m->parts[ranges->count];
    end->at = at;
    end->range = (struct plait_range){0, 0};
    end->head_len = (size_t)snprintf(end->head, sizeof end->head, "\r\n--%s--\r\n", m->boundary);
}

int plait_multipart_new(struct plait_multipart **out, int fd, uint64_t size, const char *type,
                        const struct plait_range_set *ranges)
{
    struct plait_multipart *m = malloc(sizeof *m + (ranges->count + 1) * sizeof m->parts[0]);

    if (m == NULL || make_boundary(m->boundary) != PLAIT_OK) {
        free(m);
        close(fd);
        return PLAIT_ERR_NOMEM;
    }
    m->fd = fd;
    m->count = ranges->count + 1;
    make_parts(m, size, type, ranges);
    *out = m;
    return PLAIT_OK;
}

void plait_multipart_free(struct plait_multipart *m)
{
    if (m == NULL)
        return;
    close(m->fd);
    free(m);
}

uint64_t plait_multipart_len(const struct plait_multipart *m)
{
    const struct part *end = &m->parts[m->count - 1];

    return end->at + end->head_len;
}

const char *plait_multipart_boundary(const struct plait_multipart *m)
{
    return m->boundary;
}

ssize_t plait_multipart_read(const struct plait_multipart *m, uint64_t at, char *out, size_t max)
{
    size_t i = m->count - 1;

    while (i > 0 && m->parts[i].at > at)
        i--;
    const struct part *p = &m->parts[i];
    uint64_t into = at - p->at;
    if (into < p->head_len) {
        size_t len = (size_t)plait_min_u64(max, p->head_len - into);
        memcpy(out, p->head + into, len);
        return (ssize_t)len;
    }
    uint64_t offset = p->range.lo + (into - p->head_len);
    if (offset >= p->range.hi)
        return 0;
    ssize_t n;
    do
        n = pread(m->fd, out, (size_t)plait_min_u64(max, p->range.hi - offset), (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n > 0 ? n : n == 0 ? PLAIT_ERR_TRUNC : PLAIT_ERR_IO;
}
