#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "hub_int.h"
#include "origin.h"
#include "units.h"

#define POOL_PACKETS   32768u
#define INBOX_MESSAGES 8
#define ROUNDS_MAX     4
#define TICK           PLAIT_S
#define PREFIX_BITS    8  /* of the sessions' numbers: the worker's */
#define KNOCKS_MANY    64 /* in one event: a flood */
#define DOOR_BYTES     (256u * 1024)
#define DOOR_SPAN      (10 * PLAIT_MS)
#define DOOR_KNOCKS    200u /* in that time: 20,000 a second, each a MAC or two */

/* From the machine to the nodes. */

static bool destination(const uint8_t *packet, size_t len, bool *v6, const uint8_t **address)
{
    *v6 = len > 0 && packet[0] >> 4 == 6;
    *address = packet + (*v6 ? 24 : 16);
    return *v6 ? len >= 40 : len >= 20 && packet[0] >> 4 == 4;
}

static uint32_t node_for(const struct plait_hub_worker *w, const uint8_t *packet, size_t len)
{
    const uint8_t *address;
    bool v6;

    return destination(packet, len, &v6, &address) ? plait_table_find(w->table, v6, address)
                                                   : PLAIT_TABLE_NONE;
}

static void send_on(struct plait_hub_worker *w, uint32_t node, struct plait_packet *packet)
{
    struct plait_member *m = w->members[node];

    if (m != NULL && m->has_peer && m->is_home) {
        (void)plait_bond_push(m->peer.bond, w->loop.now, packet);
        plait_member_touch(m);
        return;
    }
    w->no_route++;
    plait_pool_give(&w->pool, packet);
}

static void take_packet(void *worker, struct plait_packet *packet)
{
    struct plait_hub_worker *w = worker;
    uint32_t node = node_for(w, packet->data, packet->len);
    int home = node != PLAIT_TABLE_NONE ? plait_table_home(w->table, node) : -1;

    if (home < 0) {
        w->no_route++;
        plait_pool_give(&w->pool, packet);
    } else if (home == (int)w->number) {
        send_on(w, node, packet);
    } else {
        plait_worker_hand_on(&w->hub->workers[home], packet->data, packet->len);
        plait_pool_give(&w->pool, packet);
    }
}

void plait_worker_hand_on(struct plait_hub_worker *w, const uint8_t *packet, size_t len)
{
    if (plait_mailbox_put(&w->mailbox, packet, len))
        uv_async_send(&w->wake);
}

static void empty_mailbox(struct plait_hub_worker *w)
{
    const uint8_t *bytes;
    size_t len;

    for (unsigned i = 0; i < PLAIT_MAILBOX_SLOTS && (bytes = plait_mailbox_peek(&w->mailbox, &len)) != NULL;
         i++) {
        uint32_t node = node_for(w, bytes, len);
        struct plait_packet *packet = node != PLAIT_TABLE_NONE ? plait_pool_take(&w->pool) : NULL;
        if (packet != NULL) {
            memcpy(packet->data, bytes, len);
            packet->len = (uint16_t)len;
            send_on(w, node, packet);
        }
        w->misdirected++;
        plait_mailbox_drop(&w->mailbox);
    }
}

static void on_port(void *worker)
{
    struct plait_hub_worker *w = worker;

    if (plait_port_read(&w->port, take_packet, w) == PLAIT_OK)
        return;
    if (!atomic_exchange(&w->hub->failed, true))
        plait_say("%s is gone or down", w->table->settings->interface);
    plait_watch_close(&w->port_watch);
    uv_async_send(&w->hub->stop);
}

/* From the nodes. */

static void reply(struct plait_hub_worker *w, struct plait_udp *udp, const struct plait_udp_end *end,
                  const struct plait_knock *knock)
{
    uint8_t *room = plait_outbox_room(&w->outbox);

    if (knock->reply_len == 0 || knock->reply_len > w->outbox.room)
        return;
    memcpy(room, knock->reply, knock->reply_len);
    plait_outbox_add(&w->outbox, knock->reply_len, udp, end);
}

static void answer(struct plait_hub_worker *w, struct plait_udp *udp, const struct plait_udp_end *end,
                   struct plait_knock *knock)
{
    struct plait_member *m = plait_session_owner(knock->session);
    uint8_t hello[PLAIT_HELLO_BYTES_MAX];

    if (plait_member_on_knock(m, knock->hello, knock->hello_len, udp->family == AF_INET6) != PLAIT_OK)
        return;
    int len = plait_member_hello(m, hello);
    if (len >= 0 && plait_sessions_respond(w->sessions, w->loop.now, knock, hello, (size_t)len) == PLAIT_OK)
        reply(w, udp, end, knock);
}

static void on_initiation(struct plait_hub_worker *w, struct plait_udp *udp,
                          const struct plait_udp_packet *packet)
{
    struct plait_origin from = plait_origin_of(&packet->end->remote);
    struct plait_knock knock;

    plait_sessions_recv(w->sessions, w->loop.now, &from, ++w->knocks > KNOCKS_MANY, packet->data, packet->len,
                        &knock);
    if (knock.kind == PLAIT_KNOCK_REPLY)
        reply(w, udp, packet->end, &knock);
    else if (knock.kind == PLAIT_KNOCK_PEER)
        answer(w, udp, packet->end, &knock);
}

static void on_datagram(struct plait_hub_worker *w, struct plait_udp *udp,
                        const struct plait_udp_packet *packet)
{
    struct plait_session *session;

    if (packet->len > 0 && packet->data[0] == PLAIT_ENVELOPE_INITIATION) {
        on_initiation(w, udp, packet);
        return;
    }
    session = plait_sessions_find(w->sessions, packet->data, packet->len);
    if (session != NULL)
        plait_member_on_sealed(plait_session_owner(session), udp, packet);
    else if (!plait_stray_hand_on(w, udp, packet))
        w->unknown++;
}

/* What a flood of handshakes may cost is bounded; what is beyond that the kernel drops when the buffer is full. */
static void count_knocks(struct plait_hub_socket *s, uint64_t count)
{
    struct plait_hub_worker *w = s->worker;

    w->door_left = plait_since(w->door_left, count);
    if (w->door.at == PLAIT_NEVER)
        plait_timer_set(&w->door, w->loop.now + DOOR_SPAN);
    if (w->door_left > 0)
        return;
    plait_watch_pause(&s->watch);
    s->is_paused = true;
}

static void on_door(void *worker)
{
    struct plait_hub_worker *w = worker;

    w->door_left = DOOR_KNOCKS;
    for (size_t i = 0; i < w->socket_count; i++) {
        struct plait_hub_socket *s = &w->sockets[i];
        if (s->is_paused)
            s->is_paused = plait_watch_resume(&s->watch) != PLAIT_OK;
    }
}

static void on_socket(void *socket)
{
    struct plait_hub_socket *s = socket;
    struct plait_hub_worker *w = s->worker;
    const struct plait_udp_packet *list;

    for (int round = 0; round < (s->is_door ? 1 : ROUNDS_MAX); round++) {
        int count = plait_udp_recv(&s->udp, w->inbox, &list);
        if (count <= 0)
            return;
        for (int i = 0; i < count; i++)
            on_datagram(w, s->out, &list[i]);
        plait_outbox_flush(&w->outbox); /* replies borrow the inbox's ends */
        if (s->is_door)
            count_knocks(s, (uint64_t)count);
    }
}

/* Out. */

static void pump_member(struct plait_hub_worker *w, struct plait_member *m)
{
    uint64_t now = w->loop.now;
    uint8_t path;

    plait_inquiry_answer(&m->exchange, m->peer.bond, now);
    for (;;) {
        uint8_t *room = plait_outbox_room(&w->outbox);
        size_t len = plait_peer_poll_send(&m->peer, now, &path, room, w->outbox.room);
        if (len == 0)
            break;
        if (path < PLAIT_BOND_PATHS && (m->paths >> path & 1) != 0)
            plait_outbox_add(&w->outbox, len, m->udp[path], &m->ends[path]);
    }
    if (plait_bond_is_weighted(m->peer.bond))
        plait_outbox_keep_order(&w->outbox);
    plait_agenda_set(&w->agenda, &m->due, plait_peer_next_deadline(&m->peer, now));
}

static void pump(void *worker)
{
    struct plait_hub_worker *w = worker;

    plait_port_flush(&w->port);
    while (w->dirty != NULL) {
        struct plait_member *m = w->dirty;
        w->dirty = m->next_dirty;
        m->is_dirty = false;
        pump_member(w, m);
    }
    plait_outbox_flush(&w->outbox);
    w->knocks = 0;
    struct plait_agenda_entry *first = plait_agenda_first(&w->agenda);
    uint64_t at = plait_sessions_next_deadline(w->sessions);
    plait_alarm_set(&w->alarm, first != NULL ? plait_min_u64(at, first->at) : at);
}

static void on_alarm(void *worker)
{
    struct plait_hub_worker *w = worker;
    struct plait_agenda_entry *e;

    plait_sessions_on_deadline(w->sessions, w->loop.now);
    while ((e = plait_agenda_first(&w->agenda)) != NULL && e->at <= w->loop.now) {
        struct plait_member *m = (struct plait_member *)(void *)e;
        plait_peer_on_deadline(&m->peer, w->loop.now);
        plait_agenda_set(&w->agenda, e, PLAIT_NEVER); /* pump sets it anew */
        plait_member_touch(m);
    }
}

static void on_tick(void *worker)
{
    struct plait_hub_worker *w = worker;

    for (size_t i = 0; i < w->table->settings->node_count; i++)
        if (w->members[i] != NULL)
            plait_member_on_tick(w->members[i]);
    plait_timer_set(&w->tick, w->loop.now + TICK);
}

/* What the main thread asks. */

/* Members keep their sessions and bonds where the key is still there, whatever its number is now. */
static int reload(struct plait_hub_worker *w, struct plait_table *next)
{
    size_t old_count = w->table->settings->node_count, count = next->settings->node_count;
    struct plait_member **members = calloc(count + 1, sizeof(struct plait_member *));

    if (members == NULL)
        return PLAIT_ERR_NOMEM;
    for (size_t i = 0; i < old_count; i++) {
        struct plait_member *m = w->members[i];
        uint32_t node =
            m != NULL ? plait_table_of_key(next, &w->table->settings->nodes[i].key) : PLAIT_TABLE_NONE;
        if (node == PLAIT_TABLE_NONE) {
            plait_member_free(m);
            continue;
        }
        plait_member_drop_route(m); /* its address may be another one now */
        members[node] = m;
        m->node = node;
        if (m->is_home)
            (void)plait_table_take_home(next, node, w->number, m->logged_on_at);
    }
    free(w->members);
    w->members = members;
    w->table = next;
    for (uint32_t i = 0; i < count; i++)
        if (members[i] == NULL)
            members[i] = plait_member_new(w, i);
    return PLAIT_OK;
}

static void run_task(struct plait_hub_worker *w)
{
    /* It may be woken for its mailbox while the main thread is just about to ask. */
    int task = atomic_exchange(&w->task, PLAIT_TASK_NONE);

    if (task == PLAIT_TASK_NONE)
        return;
    if (task == PLAIT_TASK_RELOAD)
        w->result = reload(w, w->next_table);
    else if (task == PLAIT_TASK_STATUS)
        w->answer = plait_worker_status(w);
    else
        plait_loop_stop(&w->loop);
    uv_sem_post(&w->done);
}

static void on_wake(uv_async_t *wake)
{
    struct plait_hub_worker *w = wake->data;

    plait_loop_enter(&w->loop);
    empty_mailbox(w);
    plait_strays_take(w);
    run_task(w);
    plait_loop_leave(&w->loop);
}

void plait_worker_ask(struct plait_hub_worker *w, enum plait_hub_task task)
{
    atomic_store(&w->task, task);
    uv_async_send(&w->wake);
    uv_sem_wait(&w->done);
}

/* Set-up. */

/* `out` is NULL for the one for sealed packets; for the one for handshakes what answers leave by. */
static int open_socket(struct plait_hub_worker *w, const struct plait_udp_options *options,
                       struct plait_udp *out)
{
    struct plait_hub_socket *s = &w->sockets[w->socket_count];
    int err = plait_udp_open(&s->udp, options);

    if (err != PLAIT_OK)
        return err;
    w->socket_count++;
    s->worker = w;
    s->out = out != NULL ? out : &s->udp;
    s->is_door = out != NULL;
    return plait_watch_init(&s->watch, &w->loop, s->udp.fd, on_socket, s);
}

/* A shared port would be shared with another hub, too. PLAIT_ERR_STATE where somebody has it. */
static int check_port(const struct plait_udp_options *options)
{
    struct plait_udp probe;
    int err = plait_udp_open(&probe, options);

    if (err == PLAIT_OK)
        plait_udp_close(&probe);
    return err;
}

/* The one for sealed packets, then the one for handshakes. */
static int open_pair(struct plait_hub_worker *w, const union plait_udp_address *local)
{
    struct plait_udp_options options = {.local = *local};
    struct plait_udp *first = &w->sockets[w->socket_count].udp;

    plait_udp_address_set_port(&options.local, w->udp_port);
    int err = check_port(&options);
    options.shared = true;
    if (err == PLAIT_OK)
        err = open_socket(w, &options, NULL);
    options.buffer_bytes = DOOR_BYTES;
    if (err == PLAIT_OK)
        err = open_socket(w, &options, first);
    return err == PLAIT_OK ? plait_udp_sort(first, PLAIT_ENVELOPE_SEALED) : err;
}

/* `*` stands for all addresses of both families, each with a socket; a machine without one of them does without, but
 * where a port is somebody else's nobody would know why half of the nodes do not get through. */
static int open_sockets(struct plait_hub_worker *w)
{
    const struct plait_hub_settings *s = w->table->settings;
    union plait_udp_address local = {0}, any4 = {.v4 = {.sin_family = AF_INET}};

    memcpy(&local, &s->listen, sizeof local);
    int err = open_pair(w, &local);
    if (s->listen.ss_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&local.v6.sin6_addr))
        return err;
    int err4 = open_pair(w, &any4);
    if (err == PLAIT_ERR_STATE || err4 == PLAIT_ERR_STATE)
        return PLAIT_ERR_STATE;
    return w->socket_count > 0 ? PLAIT_OK : err4;
}

static int make_members(struct plait_hub_worker *w)
{
    size_t count = w->table->settings->node_count;
    struct plait_sessions_config config = {.session = plait_self_session(&w->hub->self, w->crypto),
                                           .peers_max = PLAIT_HUB_NODES_MAX,
                                           .index_prefix = w->number,
                                           .index_prefix_bits = PREFIX_BITS};

    config.session.instance ^= (uint64_t)w->number
                               << 32; /* another worker knows nothing of what went on here */
    w->sessions = plait_sessions_new(&config, w->loop.now);
    w->members = calloc(count + 1, sizeof(struct plait_member *));
    if (w->sessions == NULL || w->members == NULL)
        return PLAIT_ERR_NOMEM;
    for (uint32_t i = 0; i < count; i++)
        w->members[i] = plait_member_new(w, i);
    return plait_agenda_init(&w->agenda, PLAIT_HUB_NODES_MAX);
}

static int make_buffers(struct plait_hub_worker *w)
{
    uint32_t room = w->table->settings->mtu;
    int err = plait_pool_init(&w->pool, POOL_PACKETS, room);

    if (err == PLAIT_OK)
        err = plait_outbox_init(&w->outbox, plait_max_u64(room + PLAIT_PEER_OVERHEAD + PLAIT_HUB_ROOM,
                                                          PLAIT_HANDSHAKE_BYTES_MAX));
    if (err == PLAIT_OK)
        err = plait_mailbox_init(&w->mailbox, room);
    if (err == PLAIT_OK)
        err = plait_strays_init(w);
    w->inbox = plait_udp_inbox_new(INBOX_MESSAGES);
    w->crypto = plait_crypto_new();
    return err == PLAIT_OK && (w->inbox == NULL || w->crypto == NULL) ? PLAIT_ERR_NOMEM : err;
}

int plait_worker_init(struct plait_hub_worker *w, struct plait_hub *hub, unsigned number,
                      const struct plait_tun *tun)
{
    const struct sockaddr_storage *listen = &hub->table->settings->listen;
    uint64_t seed;
    int err;

    w->hub = hub;
    w->number = number;
    w->table = hub->table;
    w->udp_port = (uint16_t)(ntohs(listen->ss_family == AF_INET
                                       ? ((const struct sockaddr_in *)(const void *)listen)->sin_port
                                       : ((const struct sockaddr_in6 *)(const void *)listen)->sin6_port) +
                             number);
    if ((err = plait_loop_init(&w->loop)) != PLAIT_OK || uv_sem_init(&w->done, 0) != 0 ||
        uv_async_init(&w->loop.uv, &w->wake, on_wake) != 0)
        return err != PLAIT_OK ? err : PLAIT_ERR_IO;
    w->wake.data = w;
    plait_timer_init(&w->tick, &w->loop, on_tick, w);
    plait_timer_init(&w->door, &w->loop, on_door, w);
    w->door_left = DOOR_KNOCKS;
    plait_random_fill(&plait_kernel_random, &seed, sizeof seed);
    if ((err = make_buffers(w)) != PLAIT_OK ||
        (err = plait_port_init(&w->port, tun, &w->pool, seed)) != PLAIT_OK ||
        (err = make_members(w)) != PLAIT_OK ||
        (err = plait_watch_init(&w->port_watch, &w->loop, w->port.tun.fd, on_port, w)) != PLAIT_OK ||
        (err = plait_alarm_init(&w->alarm, &w->loop, on_alarm, w)) != PLAIT_OK)
        return err;
    return open_sockets(w);
}

static void run(void *worker)
{
    struct plait_hub_worker *w = worker;

    plait_timer_set(&w->tick, w->loop.now + TICK);
    plait_loop_run(&w->loop);
}

int plait_worker_start(struct plait_hub_worker *w)
{
    sigset_t all, before;

    w->loop.after = pump;
    w->loop.after_ctx = w;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for the main thread */
    w->is_running = uv_thread_create(&w->thread, run, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w->is_running ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

/* Tear-down. */

static void close_handles(struct plait_hub_worker *w)
{
    for (size_t i = 0; i < w->socket_count; i++) {
        if (w->sockets[i].watch.loop != NULL)
            plait_watch_close(&w->sockets[i].watch);
        plait_udp_close(&w->sockets[i].udp);
    }
    if (w->port_watch.loop != NULL)
        plait_watch_close(&w->port_watch);
    if (w->alarm.fn != NULL)
        plait_alarm_close(&w->alarm);
    plait_timer_close(&w->tick);
    plait_timer_close(&w->door);
    uv_close((uv_handle_t *)&w->wake, NULL);
}

void plait_worker_done(struct plait_hub_worker *w)
{
    if (w->wake.data == NULL)
        return;
    for (size_t i = 0; w->members != NULL && i < w->table->settings->node_count; i++)
        plait_member_free(w->members[i]);
    close_handles(w);
    plait_loop_drain(&w->loop);
    plait_loop_done(&w->loop);
    uv_sem_destroy(&w->done);
    free(w->members);
    plait_sessions_free(w->sessions);
    plait_agenda_done(&w->agenda);
    if (w->rtnl_is_open)
        plait_rtnl_close(&w->rtnl);
    plait_port_done(&w->port);
    plait_outbox_done(&w->outbox);
    plait_udp_inbox_free(w->inbox);
    plait_mailbox_done(&w->mailbox);
    plait_strays_done(w);
    plait_crypto_free(w->crypto);
    if (w->pool.packets != NULL)
        plait_pool_done(&w->pool);
}
