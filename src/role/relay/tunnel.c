#include "client_int.h"

#include <stdlib.h>

#define BUDGET (512 * PLAIT_KIB) /* bytes in one turn of the loop */

void plait_tunnel_unpause(struct plait_client *c)
{
    struct plait_client **at = &c->relay->paused;

    if (!c->is_paused)
        return;
    while (*at != c)
        at = &(*at)->next_paused;
    *at = c->next_paused;
    if (c->relay->last_paused == &c->next_paused)
        c->relay->last_paused = at;
    c->is_paused = false;
}

/* What a pump waits for at its near end, and at its far one. */
static bool reads(const struct plait_pump *p)
{
    return p->state == PLAIT_PUMP_READ || (p->state == PLAIT_PUMP_MORE && p->held == 0 && p->early_len == 0);
}

static bool writes(const struct plait_pump *p)
{
    return p->state == PLAIT_PUMP_WRITE || (p->state == PLAIT_PUMP_MORE && !reads(p));
}

static void watch_tunnel(struct plait_client *c)
{
    int near = (reads(&c->up) ? UV_READABLE : 0) | (writes(&c->down) ? UV_WRITABLE : 0);
    int far = (reads(&c->down) ? UV_READABLE : 0) | (writes(&c->up) ? UV_WRITABLE : 0);

    plait_socket_watch(c->near, c->is_paused ? 0 : near);
    plait_socket_watch(c->far, c->is_paused ? 0 : far);
}

static void pause_client(struct plait_client *c)
{
    struct plait_relay *relay = c->relay;

    c->is_paused = true;
    c->next_paused = NULL;
    *relay->last_paused = c;
    relay->last_paused = &c->next_paused;
    plait_timer_set(&relay->refill, plait_bucket_ready_at(&relay->bucket));
}

/* Runs one or both pumps, and closes the tunnel where it has ended. */
static void run_tunnel(struct plait_client *c, bool up, bool down)
{
    struct plait_relay *relay = c->relay;
    uint64_t before = c->up.carried + c->down.carried;
    size_t budget = BUDGET;

    if (relay->options->rate > 0)
        budget = (size_t)plait_clamp_u64((uint64_t)(relay->options->rate / 50), 4096, BUDGET);
    if ((up && plait_pump_run(&c->up, budget) == PLAIT_PUMP_BROKEN) ||
        (down && plait_pump_run(&c->down, budget) == PLAIT_PUMP_BROKEN)) {
        plait_client_close(c, "broken", true);
        return;
    }
    if (c->up.early_len == 0) {
        free(c->head);
        c->head = NULL;
    }
    uint64_t moved = c->up.carried + c->down.carried - before;
    if (moved > 0)
        c->deadline = relay->loop.now + relay->options->idle_s * PLAIT_S;
    if (c->up.state == PLAIT_PUMP_END && c->down.state == PLAIT_PUMP_END) {
        plait_client_close(c, "closed", false);
        return;
    }
    if (relay->options->rate > 0) {
        plait_bucket_take(&relay->bucket, relay->loop.now, (double)moved);
        if (!c->is_paused && plait_bucket_is_empty(&relay->bucket, relay->loop.now))
            pause_client(c);
    }
    watch_tunnel(c);
}

void plait_clients_refill(struct plait_relay *relay)
{
    while (relay->paused != NULL && !plait_bucket_is_empty(&relay->bucket, relay->loop.now)) {
        struct plait_client *c = relay->paused;
        plait_tunnel_unpause(c);
        run_tunnel(c, true, true);
    }
    if (relay->paused != NULL)
        plait_timer_set(&relay->refill, plait_bucket_ready_at(&relay->bucket));
}

void plait_tunnel_begin(struct plait_client *c, size_t head_len)
{
    struct plait_pipes *pipes = &c->relay->pipes;

    c->state = TUNNEL;
    c->status = 200;
    c->deadline = c->relay->loop.now + c->relay->options->idle_s * PLAIT_S;
    plait_pump_init(&c->up, pipes, c->near->fd, c->far->fd, c->head + head_len, c->head_len - head_len);
    plait_pump_init(&c->down, pipes, c->far->fd, c->near->fd, PLAIT_ESTABLISHED, PLAIT_ESTABLISHED_LEN);
    run_tunnel(c, true, true);
}

void plait_tunnel_event(struct plait_client *c, bool near, int events)
{
    struct plait_pump *in = near ? &c->up : &c->down, *out = near ? &c->down : &c->up;
    bool run_in = (events & UV_READABLE) != 0 && reads(in),
         run_out = (events & UV_WRITABLE) != 0 && writes(out);

    run_tunnel(c, near ? run_in : run_out, near ? run_out : run_in);
}
