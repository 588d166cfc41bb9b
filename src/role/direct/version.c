#include "version.h"

#include <stdlib.h>
#include <string.h>

/* A holder while the versions are being found. */
struct holder {
    const struct plait_server *server;
    const struct plait_entry *entry;
    bool healthy;
    size_t place; /* among the stream's holders */
    size_t version;
};

static bool has_digest(const struct plait_digests *d)
{
    return d->has_sha256 || d->has_sha512;
}

static bool belongs(const struct plait_version *v, const struct plait_entry *e)
{
    if (v->has_size != e->has_size || v->size != e->size)
        return false;
    if (!has_digest(&v->digests) || !has_digest(&e->digests))
        return has_digest(&v->digests) == has_digest(&e->digests);
    return plait_digests_agree(&v->digests, &e->digests);
}

static bool fits(const struct plait_entry *e, const struct plait_wish *wish)
{
    if (wish->has_size && (!e->has_size || e->size != wish->size))
        return false;
    return !has_digest(&wish->digests) || plait_digests_agree(&wish->digests, &e->digests);
}

static void learn(struct plait_version *v, const struct plait_entry *e)
{
    v->has_size = e->has_size;
    v->size = e->size;
    if (e->digests.has_sha256) {
        v->digests.has_sha256 = true;
        memcpy(v->digests.sha256, e->digests.sha256, sizeof v->digests.sha256);
    }
    if (e->digests.has_sha512) {
        v->digests.has_sha512 = true;
        memcpy(v->digests.sha512, e->digests.sha512, sizeof v->digests.sha512);
    }
}

/* Those with most digests first, since they tie the others together. */
static int compare_holders(const void *a, const void *b)
{
    const struct plait_digests *x = &((const struct holder *)a)->entry->digests;
    const struct plait_digests *y = &((const struct holder *)b)->entry->digests;

    return (y->has_sha256 + y->has_sha512) - (x->has_sha256 + x->has_sha512);
}

static size_t find_versions(struct holder *holders, size_t count, struct plait_version *versions)
{
    size_t found = 0;

    qsort(holders, count, sizeof *holders, compare_holders);
    for (size_t i = 0; i < count; i++) {
        size_t v = 0;
        while (v < found && !belongs(&versions[v], holders[i].entry))
            v++;
        found += v == found;
        learn(&versions[v], holders[i].entry);
        holders[i].version = v;
        versions[v].count++;
        versions[v].healthy += holders[i].healthy;
    }
    return found;
}

/* The servers of one version, in the order in which the stream has them; the healthy ones from the turn on. */
static void gather(struct plait_version *v, size_t index, const struct plait_stream *stream,
                   const struct holder *by_place, uint32_t turn)
{
    size_t healthy = 0, rest = v->healthy, shift = v->healthy > 0 ? turn % v->healthy : 0;

    for (size_t i = 0; i < stream->count; i++) {
        if (by_place[i].server == NULL || by_place[i].version != index)
            continue;
        if (by_place[i].healthy && v->healthy > 0)
            v->sources[(healthy++ + v->healthy - shift) % v->healthy] = by_place[i].server;
        else
            v->sources[rest++] = by_place[i].server;
    }
}

static int compare_versions(const void *a, const void *b)
{
    const struct plait_version *x = a, *y = b;

    if (x->healthy != y->healthy)
        return x->healthy < y->healthy ? 1 : -1;
    if (has_digest(&x->digests) != has_digest(&y->digests))
        return has_digest(&x->digests) ? -1 : 1;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    int order = memcmp(&x->digests, &y->digests, sizeof x->digests); /* anything, but always the same */
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

static size_t list_holders(const struct plait_stream *stream, const struct plait_wish *wish, uint64_t now,
                           struct holder *out)
{
    size_t count = 0;

    for (size_t i = 0; i < stream->count; i++) {
        const struct plait_entry *e = plait_registration_find(&stream->holders[i]->reg, stream->name);
        if (e == NULL || !fits(e, wish))
            continue;
        out[count++] = (struct holder){.server = stream->holders[i],
                                       .entry = e,
                                       .place = i,
                                       .healthy = plait_server_is_healthy(stream->holders[i], now)};
    }
    return count;
}

int plait_versions_of(const struct plait_stream *stream, const struct plait_wish *wish, uint32_t turn,
                      uint64_t now, struct plait_versions *out)
{
    struct holder *holders = calloc(2 * stream->count + 1, sizeof *holders), *by_place;
    struct plait_versions v = {.all = calloc(stream->count + 1, sizeof *v.all),
                               .sources = calloc(stream->count + 1, sizeof(struct plait_server *))};

    if (holders == NULL || v.all == NULL || v.sources == NULL) {
        free(holders);
        plait_versions_done(&v);
        return PLAIT_ERR_NOMEM;
    }
    size_t count = list_holders(stream, wish, now, holders), used = 0;
    v.count = find_versions(holders, count, v.all);
    by_place = holders + stream->count;
    for (size_t i = 0; i < count; i++)
        by_place[holders[i].place] = holders[i];
    for (size_t i = 0; i < v.count; i++) {
        v.all[i].sources = v.sources + used;
        used += v.all[i].count;
        gather(&v.all[i], i, stream, by_place, turn);
    }
    if (v.count > 1)
        qsort(v.all, v.count, sizeof *v.all, compare_versions);
    free(holders);
    *out = v;
    return PLAIT_OK;
}

static bool are_others(const struct plait_version *a, const struct plait_version *b)
{
    return (a->has_size && b->has_size && a->size != b->size) ||
           plait_digests_contradict(&a->digests, &b->digests);
}

bool plait_versions_contradict(const struct plait_versions *v)
{
    for (size_t i = 0; i < v->count; i++)
        for (size_t k = i + 1; k < v->count; k++)
            if (are_others(&v->all[i], &v->all[k]))
                return true;
    return false;
}

void plait_versions_done(struct plait_versions *v)
{
    free(v->all);
    free(v->sources);
    memset(v, 0, sizeof *v);
}
