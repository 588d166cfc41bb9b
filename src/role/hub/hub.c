#include "hub.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hub_int.h"
#include "nat.h"
#include "settle.h"
#include "units.h"

static int set_nat(const struct plait_hub_settings *s);

/* Signals. */

static void on_term(void *hub, int signum)
{
    struct plait_hub *h = hub;

    (void)signum;
    plait_loop_stop(&h->loop);
}

static void on_stop(uv_async_t *stop)
{
    struct plait_hub *h = stop->data;

    plait_loop_stop(&h->loop);
}

static bool needs_restart(const struct plait_hub_settings *a, const struct plait_hub_settings *b)
{
    return memcmp(&a->listen, &b->listen, sizeof a->listen) != 0 || strcmp(a->key_file, b->key_file) != 0 ||
           memcmp(&a->network4, &b->network4, sizeof a->network4) != 0 ||
           memcmp(&a->network6, &b->network6, sizeof a->network6) != 0 ||
           strcmp(a->interface, b->interface) != 0 || strcmp(a->control, b->control) != 0 ||
           strcmp(a->user, b->user) != 0 || a->mtu != b->mtu || a->workers != b->workers ||
           strcmp(a->nat, b->nat) != 0;
}

/* All workers have the old table or all have the new one; the old one is freed when nobody looks at it any more. */
static void replace_table(struct plait_hub *h, struct plait_table *next)
{
    for (unsigned i = 0; i < h->worker_count; i++) {
        struct plait_hub_worker *w = &h->workers[i];
        w->next_table = next;
        plait_worker_ask(w, PLAIT_TASK_RELOAD);
        if (w->result != PLAIT_OK) { /* it kept the old one: so does everybody's memory */
            plait_say("out of memory: worker %u goes on as before", i);
            return;
        }
    }
    plait_table_free(h->table);
    h->table = next;
    if (set_nat(next->settings) != PLAIT_OK)
        plait_say("what is published stays as it was");
    plait_say("%s read anew: %zu nodes", h->config, next->settings->node_count);
}

static void on_hangup(void *hub, int signum)
{
    struct plait_hub *h = hub;
    struct plait_hub_settings *s;
    char error[PLAIT_HUB_ERROR_MAX];

    (void)signum;
    if (plait_hub_settings_read(h->config, &s, error) != PLAIT_OK) {
        plait_say("%s; all stays as it was", error);
        return;
    }
    struct plait_table *next = needs_restart(h->table->settings, s) ? NULL : plait_table_new(s);
    if (next != NULL) {
        replace_table(h, next);
        return;
    }
    plait_say("%s: only nodes and what is published can be changed without a restart; all stays as it was",
              h->config);
    plait_hub_settings_free(s);
}

static int watch_signals(struct plait_hub *h)
{
    if (plait_signal_init(&h->term, &h->loop, SIGTERM, on_term, h) != PLAIT_OK ||
        plait_signal_init(&h->interrupt, &h->loop, SIGINT, on_term, h) != PLAIT_OK ||
        plait_signal_init(&h->hangup, &h->loop, SIGHUP, on_hangup, h) != PLAIT_OK)
        return PLAIT_ERR_IO;
    return PLAIT_OK;
}

/* Set-up. */

static int open_tun(struct plait_hub *h)
{
    const struct plait_hub_settings *s = h->table->settings;
    struct plait_tun_options options = {.name = s->interface, .multi_queue = h->worker_count > 1};
    int err = plait_tun_open(&h->tun, &options);

    if (err == PLAIT_ERR_STATE)
        plait_say("%s is there already: is another hub or node running? (interface =)", s->interface);
    else if (err == PLAIT_ERR_IO && (errno == EPERM || errno == EACCES))
        plait_say("%s: not allowed; a hub needs to be started by root, or with CAP_NET_ADMIN", s->interface);
    else if (err != PLAIT_OK)
        plait_say("%s: %s", s->interface, plait_reason(err));
    return err;
}

static int set_addresses(struct plait_hub *h)
{
    const struct plait_hub_settings *s = h->table->settings;
    struct plait_prefix own[2];
    size_t count = 0;

    if (s->network4.family != 0) {
        own[count] = s->network4;
        memcpy(own[count++].address, s->own4, sizeof s->own4);
    }
    if (s->network6.family != 0) {
        own[count] = s->network6;
        memcpy(own[count++].address, s->own6, sizeof s->own6);
    }
    int err = plait_tun_set(&h->workers[0].port.tun, s->mtu, own, count);
    if (err != PLAIT_OK)
        plait_say("%s: cannot set its address: %s", s->interface, plait_reason(err));
    return err;
}

/* What the kernel does for the hub: forwarding, masquerading, published ports. */

static void list_published(const struct plait_hub_settings *s, struct plait_nat_publish *out, size_t *count)
{
    for (size_t i = 0; i < s->publish_count; i++) {
        const struct plait_hub_publish *p = &s->publish[i];
        const struct plait_hub_node_settings *n = &s->nodes[p->node];
        struct plait_nat_publish *to = &out[(*count)++];
        *to = (struct plait_nat_publish){.udp = p->udp, .port = p->port, .to_port = p->to_port};
        to->to.family = n->has_v4 ? AF_INET : AF_INET6;
        to->to.bits = n->has_v4 ? 32 : 128;
        memcpy(to->to.address, n->has_v4 ? n->v4 : n->v6, n->has_v4 ? 4 : 16);
    }
}

static int set_nat(const struct plait_hub_settings *s)
{
    struct plait_nat_publish publish[PLAIT_HUB_PUBLISH_MAX];
    struct plait_prefix networks[2];
    struct plait_nat_options options = {.interface = s->interface,
                                        .out = s->nat[0] != '\0' ? s->nat : NULL,
                                        .networks = networks,
                                        .clamp = true,
                                        .publish = publish,
                                        .udp_idle_s = (unsigned)(s->udp_idle_ns / PLAIT_S)};
    char error[PLAIT_NAT_ERROR_MAX];

    if (s->network4.family != 0)
        networks[options.network_count++] = s->network4;
    if (s->network6.family != 0)
        networks[options.network_count++] = s->network6;
    list_published(s, publish, &options.publish_count);
    int err = plait_nat_set(&options, error);
    if (err >= 0)
        return PLAIT_OK;
    plait_say("nftables: %s%s", error,
              s->nat[0] == '\0' ? "; going on without: MSS is not clamped, UDP's idle time is the system's"
                                : "");
    return s->nat[0] == '\0' ? PLAIT_OK : err;
}

static void forward(const struct plait_hub_settings *s, const char *interface)
{
    if ((s->network4.family != 0 && plait_nat_forward(interface, AF_INET) < 0) ||
        (s->network6.family != 0 && plait_nat_forward(interface, AF_INET6) < 0)) {
        if (if_nametoindex(interface) == 0)
            plait_say("%s is not there: once it is, start the hub anew, so that it forwards (nat =)",
                      interface);
        else
            plait_say("%s: cannot switch forwarding on: %s", interface, plait_reason(PLAIT_ERR_IO));
    }
}

static int set_up_kernel(struct plait_hub *h)
{
    const struct plait_hub_settings *s = h->table->settings;
    int err = set_addresses(h);

    if (err == PLAIT_OK && (err = set_nat(s)) == PLAIT_OK) {
        h->has_nat = true;
        forward(s, s->interface);
        if (s->nat[0] != '\0')
            forward(s, s->nat);
    }
    return err;
}

static void undo_kernel(struct plait_hub *h)
{
    char error[PLAIT_NAT_ERROR_MAX];

    if (h->has_nat && plait_nat_clear(h->table->settings->interface, error) < 0)
        plait_say("nftables: %s", error);
}

static unsigned count_workers(const struct plait_hub_settings *s)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (s->workers > 0)
        return s->workers;
    return (unsigned)plait_clamp_u64(processors > 0 ? (uint64_t)processors : 1, 1, PLAIT_HUB_WORKERS_MAX);
}

static int make_worker(struct plait_hub *h, unsigned i)
{
    struct plait_tun tun = h->tun;
    int err = i == 0 ? PLAIT_OK : plait_tun_open_queue(&h->tun, &tun);

    if (err == PLAIT_OK)
        err = plait_worker_init(&h->workers[i], h, i, &tun);
    if (err == PLAIT_ERR_STATE)
        plait_say("port %u is taken: is another hub running? (listen =)", h->workers[i].udp_port);
    else if (err == PLAIT_ERR_NOTFOUND)
        plait_say("this machine does not have the address to listen on (listen =)");
    return err;
}

static int make_workers(struct plait_hub *h)
{
    h->worker_count = count_workers(h->table->settings);
    h->workers = calloc(h->worker_count, sizeof *h->workers);
    if (h->workers == NULL)
        return PLAIT_ERR_NOMEM;
    int err = open_tun(h);
    for (unsigned i = 0; i < h->worker_count && err == PLAIT_OK; i++)
        err = make_worker(h, i);
    plait_strays_meet(h);
    return err;
}

static int start_workers(struct plait_hub *h)
{
    int err = PLAIT_OK;

    for (unsigned i = 0; i < h->worker_count && err == PLAIT_OK; i++)
        err = plait_worker_start(&h->workers[i]);
    return err;
}

static json_t *answer(void *hub, const json_t *request)
{
    struct plait_hub *h = hub;
    const char *what = json_string_value(json_object_get(request, "do"));

    if (what != NULL && strcmp(what, "status") == 0)
        return plait_hub_status(h);
    return what != NULL && strcmp(what, "ports") == 0 ? plait_hub_ports(h) : NULL;
}

static int set_up(struct plait_hub *h)
{
    int err;

    h->started_at = h->loop.now;
    if (uv_async_init(&h->loop.uv, &h->stop, on_stop) != 0)
        return PLAIT_ERR_IO;
    h->stop.data = h;
    if ((err = plait_self_init(&h->self, h->table->settings->key_file)) != PLAIT_OK ||
        (err = make_workers(h)) != PLAIT_OK || (err = set_up_kernel(h)) != PLAIT_OK ||
        (err = watch_signals(h)) != PLAIT_OK ||
        (err = plait_settle_control(&h->loop, h->table->settings->control, answer, h, &h->control)) !=
            PLAIT_OK ||
        (err = plait_settle_privileges(h->table->settings->user)) != PLAIT_OK)
        return err;
    return start_workers(h);
}

/* Tear-down. */

static void stop_workers(struct plait_hub *h)
{
    for (unsigned i = 0; i < h->worker_count; i++) {
        struct plait_hub_worker *w = &h->workers[i];
        if (!w->is_running)
            continue;
        plait_worker_ask(w, PLAIT_TASK_END);
        uv_thread_join(&w->thread);
    }
    for (unsigned i = 0; i < h->worker_count; i++)
        plait_worker_done(&h->workers[i]);
    free(h->workers);
}

static void tear_down(struct plait_hub *h)
{
    undo_kernel(h);
    plait_control_close(h->control);
    stop_workers(h);
    if (h->stop.data != NULL)
        uv_close((uv_handle_t *)&h->stop, NULL);
    if (h->term.loop != NULL)
        plait_signal_close(&h->term);
    if (h->interrupt.loop != NULL)
        plait_signal_close(&h->interrupt);
    if (h->hangup.loop != NULL)
        plait_signal_close(&h->hangup);
    plait_loop_drain(&h->loop);
    plait_loop_done(&h->loop);
    plait_table_free(h->table);
    plait_self_done(&h->self);
}

static struct plait_table *read_table(const char *config)
{
    struct plait_hub_settings *settings;
    char error[PLAIT_HUB_ERROR_MAX];

    if (plait_hub_settings_read(config, &settings, error) != PLAIT_OK) {
        plait_say("%s", error);
        return NULL;
    }
    struct plait_table *table = plait_table_new(settings);
    if (table == NULL)
        plait_hub_settings_free(settings);
    return table;
}

int plait_hub_run(const char *config)
{
    static struct plait_hub h;

    plait_say_as("plait hub");
    memset(&h, 0, sizeof h);
    h.config = config;
    h.table = read_table(config);
    if (h.table == NULL)
        return PLAIT_HUB_USAGE;
    if (plait_loop_init(&h.loop) != PLAIT_OK) {
        plait_say("no event loop: %s", strerror(errno));
        plait_table_free(h.table);
        return PLAIT_HUB_FAILED;
    }
    int err = set_up(&h);
    if (err == PLAIT_OK) {
        plait_say("up: %zu node%s, %u worker%s from port %u on", h.table->settings->node_count,
                  h.table->settings->node_count == 1 ? "" : "s", h.worker_count,
                  h.worker_count == 1 ? "" : "s", h.workers[0].udp_port);
        plait_loop_run(&h.loop);
    } else {
        plait_say_no_start(err);
    }
    int status = err == PLAIT_OK && !h.failed ? PLAIT_HUB_DONE : PLAIT_HUB_FAILED;
    tear_down(&h);
    return status;
}

int plait_hub_check(const char *config)
{
    struct plait_identity identity;

    plait_say_as("plait hub");
    struct plait_table *table = read_table(config);
    if (table == NULL)
        return PLAIT_HUB_USAGE;
    int err = plait_self_read_key(table->settings->key_file, &identity);
    plait_wipe(&identity, sizeof identity);
    plait_table_free(table);
    if (err != PLAIT_OK)
        return PLAIT_HUB_USAGE;
    printf("%s: right\n", config);
    return PLAIT_HUB_DONE;
}
