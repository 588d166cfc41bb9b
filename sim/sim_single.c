/* The plain download that a fetch is compared with: one connection over one way, begun anew where it broke
 * off. */
#include "sim_fetch.h"

#include "units.h"

#define AGAIN_NS PLAIT_S

struct single {
    struct plait_sim_world world;
    unsigned way;
    struct plait_sim_session *session;
    struct plait_sim_event again;
    uint64_t got;
};

static void connect(struct single *s, uint64_t now);

static void on_connected(void *ctx, uint64_t now)
{
    struct single *s = ctx;

    plait_sim_http_ask(s->session, now,
                       &(struct plait_sim_http_ask){.lo = s->got, .hi = PLAIT_SIM_HTTP_UNKNOWN});
}

static void on_head(void *ctx, uint64_t now, const struct plait_sim_http_head *head)
{
    struct single *s = ctx;
    (void)now;

    if (head->status == 200)
        s->got = 0;
}

static void on_body(void *ctx, uint64_t now, const struct plait_sim_span *span)
{
    (void)now;
    ((struct single *)ctx)->got += span->len;
}

static void on_end(void *ctx, uint64_t now, enum plait_sim_http_end end, bool open)
{
    struct single *s = ctx;
    (void)end;

    if (!open)
        s->session = NULL;
    if (s->got < s->world.size)
        plait_sim_event_set(&s->world.events, &s->again, now + AGAIN_NS);
}

static const struct plait_sim_http_app app = {on_connected, on_head, on_body, on_end};

static void connect(struct single *s, uint64_t now)
{
    struct plait_sim_world *w = &s->world;

    if (s->session != NULL)
        plait_sim_http_close(s->session, now);
    s->session = plait_sim_http_open(&w->server[w->way[s->way].server - 1], now, &w->route_up[s->way],
                                     &w->route_down[s->way], &app, s);
}

static void on_again(void *ctx, uint64_t now)
{
    connect(ctx, now);
}

uint64_t plait_sim_fetch_single(const struct plait_sim_row *row, unsigned way, uint64_t limit_ns)
{
    struct single s = {.way = way};
    bool more = true;

    plait_sim_world_init(&s.world, row);
    plait_sim_event_init(&s.again, on_again, &s);
    connect(&s, 0);
    while (s.got < s.world.size && more)
        more = plait_sim_events_step(&s.world.events, limit_ns);
    uint64_t time = s.got >= s.world.size ? s.world.events.now : PLAIT_NEVER;

    plait_sim_event_unset(&s.world.events, &s.again);
    plait_sim_world_done(&s.world);
    return time;
}
