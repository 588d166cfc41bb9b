#include "community.h"

#include <stdlib.h>
#include <string.h>

#include "hello.h"

#define ASKED_MAX   32u
#define ANSWERS_MAX 16u
#define ASK_LIFE    (2 * PLAIT_S)    /* an answer that comes later is none */
#define ASK_EVERY   (10 * PLAIT_MS)  /* at most 100 a second, and as many answers */
#define SOON        (250 * PLAIT_MS) /* after a change it is told three times */
#define REPEATS     3u
#define LEAVINGS    2u /* SHUT DOWN is sent twice, as nobody confirms it */

/* Somebody who has been asked to repeat a number. */
struct asked {
    bool used, is_sent;
    uint64_t instance, nonce, until;
    struct plait_origin from;
};

struct answer {
    uint64_t echo;
    struct plait_origin to;
};

struct plait_community {
    struct plait_community_config config;
    struct plait_mac mac;
    struct plait_community_member members[PLAIT_COMMUNITY_MEMBERS_MAX];
    size_t count;
    struct asked asked[ASKED_MAX];
    struct answer answers[ANSWERS_MAX];
    size_t answer_count;
    uint64_t ask_after, answer_after; /* when the next one is allowed */
    struct plait_announce_uplink uplinks[PLAIT_ANNOUNCE_UPLINKS_MAX];
    size_t uplink_count;
    uint16_t hub_port;
    uint32_t up;
    uint64_t stamp, next_at, changes;
    unsigned repeats, leavings;
    bool is_leaving;
    struct plait_community_counts counts;
};

static uint64_t draw(struct plait_community *c)
{
    uint64_t n;

    plait_random_fill(&c->config.random, &n, sizeof n);
    return n;
}

static int number_of(struct plait_crypto *crypto, const char *label, const uint8_t key[PLAIT_KEY_BYTES],
                     uint64_t *out)
{
    const struct plait_part parts[] = {{label, strlen(label)}, {key, PLAIT_KEY_BYTES}};
    uint8_t hash[PLAIT_HASH_BYTES];
    int err = PLAIT_OK;

    plait_blake2s(crypto, parts, PLAIT_COUNT(parts), hash, &err);
    if (err == PLAIT_OK)
        memcpy(out, hash, sizeof *out);
    return err;
}

int plait_community_hub(struct plait_crypto *crypto, const struct plait_key *hub_public, uint64_t *out)
{
    return number_of(crypto, "plait community hub 1", hub_public->bytes, out);
}

int plait_community_group(struct plait_crypto *crypto, const uint8_t key[PLAIT_KEY_BYTES], uint64_t *out)
{
    return number_of(crypto, "plait community group 1", key, out);
}

uint64_t plait_community_line(uint64_t instance, uint8_t uplink)
{
    uint64_t line = instance ^ (uplink + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);

    return line != 0 ? line : 1;
}

int plait_community_new(const struct plait_community_config *config, uint64_t now,
                        struct plait_community **out)
{
    if (!plait_hello_name_is_good(config->name, strnlen(config->name, sizeof config->name)))
        return PLAIT_ERR_ARG;
    struct plait_community *c = calloc(1, sizeof *c);
    if (c == NULL)
        return PLAIT_ERR_NOMEM;
    c->config = *config;
    if (c->config.period == 0)
        c->config.period = PLAIT_COMMUNITY_PERIOD;
    if (c->config.missed_max == 0)
        c->config.missed_max = PLAIT_COMMUNITY_MISSED_MAX;
    int err = plait_mac_init(&c->mac, config->crypto, config->key, sizeof config->key);
    if (err != PLAIT_OK) {
        plait_community_free(c);
        return err;
    }
    c->next_at = now;
    c->repeats = REPEATS;
    *out = c;
    return PLAIT_OK;
}

void plait_community_free(struct plait_community *c)
{
    if (c == NULL)
        return;
    plait_mac_done(&c->mac);
    plait_wipe(c, sizeof *c);
    free(c);
}

int plait_community_offer(struct plait_community *c, uint64_t now, uint16_t hub_port,
                          const struct plait_announce_uplink *uplinks, size_t count)
{
    if (count > PLAIT_ANNOUNCE_UPLINKS_MAX)
        return PLAIT_ERR_ARG;
    if (hub_port == c->hub_port && count == c->uplink_count &&
        plait_announce_uplinks_equal(uplinks, c->uplinks, count))
        return PLAIT_OK;
    c->hub_port = hub_port;
    memcpy(c->uplinks, uplinks, count * sizeof *uplinks);
    c->uplink_count = count;
    c->next_at = now;
    c->repeats = REPEATS;
    return PLAIT_OK;
}

void plait_community_use(struct plait_community *c, uint64_t now, uint32_t up)
{
    if (up > 0)
        c->next_at = plait_min_u64(c->next_at, now);
    c->up = up;
}

void plait_community_leave(struct plait_community *c)
{
    c->is_leaving = true;
    c->leavings = LEAVINGS;
}

/* Members. */

static bool is_same_origin(const struct plait_origin *a, const struct plait_origin *b)
{
    return a->port == b->port && memcmp(a->address, b->address, sizeof a->address) == 0;
}

static struct plait_community_member *find(struct plait_community *c, uint64_t instance)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i].instance == instance)
            return &c->members[i];
    return NULL;
}

static void drop(struct plait_community *c, struct plait_community_member *m)
{
    *m = c->members[--c->count];
    c->changes++;
}

static void note_heard(struct plait_community *c, struct plait_community_member *m, uint64_t now)
{
    m->heard_at = now;
    m->missed = 0;
    m->due = now + c->config.period + c->config.period / 2;
}

static bool offers_the_same(const struct plait_community_member *m, const struct plait_announce *a)
{
    return m->hub == a->hub && m->hub_port == a->hub_port && m->uplink_count == a->uplink_count &&
           strcmp(m->name, a->name) == 0 &&
           plait_announce_uplinks_equal(m->uplinks, a->uplinks, a->uplink_count);
}

static void update(struct plait_community *c, struct plait_community_member *m, uint64_t now,
                   const struct plait_announce *a)
{
    if (!offers_the_same(m, a))
        c->changes++;
    m->stamp = a->stamp;
    m->hub = a->hub;
    m->hub_port = a->hub_port;
    m->uplink_count = a->uplink_count;
    memcpy(m->uplinks, a->uplinks, sizeof m->uplinks);
    memcpy(m->name, a->name, sizeof m->name);
    m->up = a->up;
    m->up_at = a->up > 0 ? now : m->up_at;
    note_heard(c, m, now);
    c->counts.heard++;
}

/* Asking. */

static struct asked *find_asked(struct plait_community *c, uint64_t now, uint64_t instance,
                                const struct plait_origin *from)
{
    for (size_t i = 0; i < ASKED_MAX; i++)
        if (c->asked[i].used && c->asked[i].until > now && c->asked[i].instance == instance &&
            is_same_origin(&c->asked[i].from, from))
            return &c->asked[i];
    return NULL;
}

/* Whoever is being asked keeps his place until his time is over: a flood of recordings does not push him out. */
static int ask(struct plait_community *c, uint64_t now, uint64_t instance, const struct plait_origin *from)
{
    if (c->is_leaving || find_asked(c, now, instance, from) != NULL)
        return PLAIT_OK;
    for (size_t i = 0; i < ASKED_MAX; i++) {
        struct asked *a = &c->asked[i];
        if (a->used && a->until > now)
            continue;
        *a = (struct asked){.used = true, .instance = instance, .until = now + ASK_LIFE, .from = *from};
        c->counts.asked++;
        while (a->nonce == 0)
            a->nonce = draw(c);
        return PLAIT_OK;
    }
    c->counts.refused++;
    return PLAIT_ERR_LIMIT;
}

static bool is_answer(struct plait_community *c, uint64_t now, const struct plait_announce *a,
                      const struct plait_origin *from)
{
    struct asked *asked = find_asked(c, now, a->instance, from);

    if (asked == NULL || !asked->is_sent || a->echo != asked->nonce)
        return false;
    asked->used = false;
    return true;
}

/* Receiving. */

static int admit(struct plait_community *c, uint64_t now, const struct plait_announce *a,
                 const struct plait_origin *from)
{
    struct plait_community_member *m = find(c, a->instance);

    if (m == NULL) {
        if (c->count == PLAIT_COMMUNITY_MEMBERS_MAX) {
            c->counts.refused++;
            return PLAIT_ERR_LIMIT;
        }
        m = &c->members[c->count++];
        memset(m, 0, sizeof *m);
        m->instance = a->instance;
    }
    m->from = *from;
    c->changes++;
    update(c, m, now, a);
    return PLAIT_OK;
}

static int on_active(struct plait_community *c, uint64_t now, const struct plait_announce *a,
                     const struct plait_origin *from)
{
    struct plait_community_member *m = find(c, a->instance);

    if (m != NULL && a->stamp <= m->stamp) {
        c->counts.replayed++;
        return PLAIT_ERR_LIMIT;
    }
    if (a->echo != 0) /* an answer to somebody else, or too late, is nothing to us: it was not said to all */
        return is_answer(c, now, a, from) ? admit(c, now, a, from) : PLAIT_ERR_STATE;
    if (m == NULL || !is_same_origin(&m->from, from))
        return ask(c, now, a->instance, from);
    update(c, m, now, a);
    return PLAIT_OK;
}

static int on_shut_down(struct plait_community *c, const struct plait_announce *a)
{
    struct plait_community_member *m = find(c, a->instance);

    if (m == NULL)
        return PLAIT_OK;
    if (a->stamp <= m->stamp) {
        c->counts.replayed++;
        return PLAIT_ERR_LIMIT;
    }
    c->counts.heard++;
    drop(c, m);
    return PLAIT_OK;
}

static int on_ask(struct plait_community *c, uint64_t now, const struct plait_announce *a,
                  const struct plait_origin *from)
{
    if (a->to != c->config.instance || a->echo == 0 || c->is_leaving)
        return PLAIT_OK;
    if (c->answer_count == ANSWERS_MAX) {
        c->counts.refused++;
        return PLAIT_ERR_LIMIT;
    }
    c->answers[c->answer_count++] = (struct answer){.echo = a->echo, .to = *from};
    /* Who wants to know us is somebody whom we want to know. */
    return find(c, a->instance) == NULL ? ask(c, now, a->instance, from) : PLAIT_OK;
}

static int authenticate(struct plait_community *c, const uint8_t *bytes, size_t len)
{
    uint8_t mac[PLAIT_MAC_BYTES];

    if (len < PLAIT_MAC_BYTES || len > PLAIT_ANNOUNCE_BYTES_MAX)
        return PLAIT_ERR_TRUNC;
    const struct plait_part part = {bytes, len - sizeof mac};
    int err = plait_mac(&c->mac, &part, 1, mac);
    if (err != PLAIT_OK)
        return err;
    return plait_is_equal(mac, bytes + len - sizeof mac, sizeof mac) ? PLAIT_OK : PLAIT_ERR_CORRUPT;
}

int plait_community_recv(struct plait_community *c, uint64_t now, const struct plait_origin *from,
                         const uint8_t *bytes, size_t len)
{
    struct plait_announce a;
    int err = authenticate(c, bytes, len);

    if (err != PLAIT_OK) {
        c->counts.forged++;
        return err;
    }
    if ((err = plait_announce_decode(bytes, len, &a)) != PLAIT_OK) {
        c->counts.bad++;
        return err;
    }
    if (a.instance == c->config.instance)
        return PLAIT_OK; /* our own */
    if (a.kind == PLAIT_ANNOUNCE_SHUT_DOWN)
        return on_shut_down(c, &a);
    return a.kind == PLAIT_ANNOUNCE_ASK ? on_ask(c, now, &a, from) : on_active(c, now, &a, from);
}

void plait_community_note_traffic(struct plait_community *c, uint64_t now, const struct plait_origin *from)
{
    for (size_t i = 0; i < c->count; i++)
        if (is_same_origin(&c->members[i].from, from))
            note_heard(c, &c->members[i], now);
}

/* Sending. */

static size_t write_message(struct plait_community *c, enum plait_announce_kind kind, uint64_t echo,
                            uint64_t to, uint8_t out[PLAIT_ANNOUNCE_BYTES_MAX])
{
    struct plait_announce a = {.kind = kind,
                               .instance = c->config.instance,
                               .stamp = ++c->stamp,
                               .echo = echo,
                               .to = to,
                               .hub = c->config.hub,
                               .hub_port = c->hub_port};

    memcpy(a.name, c->config.name, sizeof a.name);
    if (kind == PLAIT_ANNOUNCE_ACTIVE) {
        memcpy(a.uplinks, c->uplinks, sizeof a.uplinks);
        a.uplink_count = c->uplink_count;
        a.up = c->up;
    }
    int len = plait_announce_encode(&a, out);
    if (len < 0)
        return 0;
    const struct plait_part part = {out, (size_t)len};
    return plait_mac(&c->mac, &part, 1, out + len) == PLAIT_OK ? (size_t)len + PLAIT_MAC_BYTES : 0;
}

static size_t send_ask(struct plait_community *c, uint64_t now, struct plait_origin *to, uint8_t *out)
{
    if (now < c->ask_after)
        return 0;
    for (size_t i = 0; i < ASKED_MAX; i++) {
        struct asked *a = &c->asked[i];
        if (!a->used || a->is_sent || a->until <= now)
            continue;
        a->is_sent = true;
        c->ask_after = now + ASK_EVERY;
        *to = a->from;
        return write_message(c, PLAIT_ANNOUNCE_ASK, a->nonce, a->instance, out);
    }
    return 0;
}

static size_t send_answer(struct plait_community *c, uint64_t now, struct plait_origin *to, uint8_t *out)
{
    if (c->answer_count == 0 || now < c->answer_after)
        return 0;
    struct answer first = c->answers[0];
    memmove(c->answers, c->answers + 1, --c->answer_count * sizeof first);
    c->answer_after = now + ASK_EVERY;
    *to = first.to;
    return write_message(c, PLAIT_ANNOUNCE_ACTIVE, first.echo, 0, out);
}

/* Not all at the same moment: a tenth more or less. */
static uint64_t next_period(struct plait_community *c)
{
    uint64_t tenth = c->config.period / 10;

    return c->config.period - tenth + draw(c) % (2 * tenth + 1);
}

size_t plait_community_poll_send(struct plait_community *c, uint64_t now, struct plait_origin *to,
                                 bool *to_all, uint8_t out[PLAIT_ANNOUNCE_BYTES_MAX])
{
    size_t len;

    *to_all = true;
    if (c->is_leaving) {
        if (c->leavings == 0)
            return 0;
        c->leavings--;
        return write_message(c, PLAIT_ANNOUNCE_SHUT_DOWN, 0, 0, out);
    }
    if (now >= c->next_at) {
        uint64_t period = next_period(c);
        c->next_at = now + (c->repeats > 0 ? plait_min_u64(SOON, period) : period);
        c->repeats -= c->repeats > 0;
        return write_message(c, PLAIT_ANNOUNCE_ACTIVE, 0, 0, out);
    }
    *to_all = false;
    len = send_answer(c, now, to, out);
    return len > 0 ? len : send_ask(c, now, to, out);
}

/* Time. */

static uint64_t asks_at(const struct plait_community *c)
{
    for (size_t i = 0; i < ASKED_MAX; i++)
        if (c->asked[i].used && !c->asked[i].is_sent)
            return c->ask_after;
    return PLAIT_NEVER;
}

uint64_t plait_community_next_deadline(const struct plait_community *c)
{
    if (c->is_leaving)
        return PLAIT_NEVER;
    uint64_t at = plait_min_u64(c->next_at, asks_at(c));
    if (c->answer_count > 0)
        at = plait_min_u64(at, c->answer_after);
    for (size_t i = 0; i < c->count; i++)
        at = plait_min_u64(at, c->members[i].due);
    return at;
}

void plait_community_on_deadline(struct plait_community *c, uint64_t now)
{
    for (size_t i = 0; i < ASKED_MAX; i++)
        if (c->asked[i].until <= now)
            c->asked[i].used = false;
    for (size_t i = c->count; i-- > 0;) {
        struct plait_community_member *m = &c->members[i];
        if (m->due > now)
            continue;
        m->due = now + c->config.period;
        if (++m->missed > c->config.missed_max)
            drop(c, m);
    }
}

/* Looking. */

const struct plait_community_member *plait_community_at(const struct plait_community *c, size_t i)
{
    return i < c->count ? &c->members[i] : NULL;
}

size_t plait_community_count(const struct plait_community *c)
{
    return c->count;
}

const struct plait_community_member *plait_community_find(const struct plait_community *c, uint64_t instance)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i].instance == instance)
            return &c->members[i];
    return NULL;
}

const struct plait_community_member *plait_community_find_origin(const struct plait_community *c,
                                                                 const struct plait_origin *from)
{
    for (size_t i = 0; i < c->count; i++)
        if (is_same_origin(&c->members[i].from, from))
            return &c->members[i];
    return NULL;
}

uint64_t plait_community_changes(const struct plait_community *c)
{
    return c->changes;
}

void plait_community_counts(const struct plait_community *c, struct plait_community_counts *out)
{
    *out = c->counts;
}
