#include "get.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "get_int.h"
#include "units.h"

#define TICK_NS            (1 * PLAIT_S)
#define TICK_WAITING_NS    (100 * PLAIT_MS) /* while lanes wait for the window */
#define STOP_NS            (50 * PLAIT_MS)  /* after a signal; then threads are left where they are */
#define CONNECT_TIMEOUT_MS 30000

void get_end(struct plait_get *g, int exit_status, const char *format, ...)
{
    va_list args;

    if (g->ending)
        return;
    g->ending = true;
    g->exit_status = exit_status;
    va_start(args, format);
    vsnprintf(g->error, sizeof g->error, format, args);
    va_end(args);
}

/* ---- the fetch ---- */

bool get_add_paths(struct plait_get *g, int source)
{
    for (size_t r = 0; r < g->routes.count; r++) {
        if (!get_route_reaches(g, r, source))
            continue;
        int path = plait_fetch_add_path(g->fetch, g->loop.now, source);
        if (path < 0)
            return false;
        g->paths[path] = (struct get_path){.source = source, .route = (int)r};
        if (g->routes.list[r].proxy != NULL) /* the source sees only the proxy */
            plait_fetch_set_own_letter(g->fetch, path);
        g->path_count = path + 1;
    }
    return true;
}

/* The run's source of that number in the journal. */
static int source_of(const struct plait_get *g, uint16_t number)
{
    for (int i = 0; i < g->source_count && number < g->resume.journal.source_count; i++)
        if (strcmp(g->resume.journal.sources[number].url, g->sources[i].shown) == 0)
            return i;
    return PLAIT_FETCH_NO_SOURCE;
}

/* Tells the fetch of the good blocks, neighbours of one source in one piece. */
static bool resume_blocks(struct plait_get *g)
{
    const struct plait_journal *j = &g->resume.journal;
    uint64_t size = j->header.block_size, lo = 0, hi = 0;
    int owner = PLAIT_FETCH_NO_SOURCE;

    for (size_t i = 0; i < j->block_count; i++) {
        if (!g->resume.good[i])
            continue;
        uint64_t at = j->blocks[i].index * size;
        int source = source_of(g, j->blocks[i].source);
        if (at != hi || source != owner) {
            if (lo < hi && plait_fetch_resume(g->fetch, lo, hi, owner) != PLAIT_OK)
                return false;
            lo = at;
        }
        owner = source;
        hi = plait_min_u64(at + size, j->header.total);
    }
    return lo >= hi || plait_fetch_resume(g->fetch, lo, hi, owner) == PLAIT_OK;
}

static bool new_fetch(struct plait_get *g)
{
    struct plait_fetch_config config = {
        .store = get_store(g),
        .size = g->resume_used ? g->resume.journal.header.total : g->known_size,
        .window_bytes = g->sink != NULL && g->sink->in_order ? g->window_bytes : 0,
        .lanes_max = g->opt->connections,
        .give_up_ns = g->opt->give_up_ns,
        .digest_known = g->digest.alg != PLAIT_DIGEST_NONE,
        .seed = g->loop.now ^ (uint64_t)getpid(),
        .streams = !g->opt->ranges_only && get_make_group(g),
        .redundant = g->opt->redundant,
    };

    g->fetch = plait_fetch_new(&config, g->loop.now);
    if (g->fetch == NULL)
        return false;
    for (int i = 0; i < g->source_count; i++) {
        if (plait_fetch_add_source(g->fetch, g->sources[i].priority) != i)
            return false;
        if (g->sources[i].version != 0)
            plait_fetch_expect_version(g->fetch, i, g->sources[i].version);
    }
    return !g->resume_used || resume_blocks(g);
}

void get_begin_fetch(struct plait_get *g)
{
    bool complete = g->resume_used && g->resume.good_bytes == g->resume.journal.header.total;

    g->stage = STAGE_FETCH;
    g->path_count = 0;
    if (!new_fetch(g)) {
        get_end(g, PLAIT_GET_FAILED, "out of memory");
        return;
    }
    if (complete) { /* it only lacks its name */
        plait_fetch_on_deadline(g->fetch, g->loop.now);
        return;
    }
    for (int i = 0; i < g->source_count; i++) {
        if (get_add_paths(g, i))
            continue;
        get_end(g, PLAIT_GET_USAGE, "too many: at most %d URLs times routes; name fewer",
                PLAIT_FETCH_PATHS_MAX);
        return;
    }
}

void get_back_to_fetch(struct plait_get *g)
{
    g->stage = STAGE_FETCH;
}

void get_have_sources(struct plait_get *g)
{
    const char *shown = "", *reason = get_director_reason(g, &shown);

    if (g->source_count == 0 && g->director_count > 0)
        get_end(g, PLAIT_GET_SOURCES, "%s: %s; check the address, and what servers are registered there",
                shown, reason);
    else if (g->source_count == 0 && g->lan != NULL)
        get_end(g, PLAIT_GET_SOURCES, "nobody on the local network says that he holds %s; check the name",
                g->opt->urls[0]);
    else if (g->source_count == 0 && g->opt->servers != NULL)
        get_end(g, PLAIT_GET_SOURCES, "%s names no server; it is a list of URLs, one in each line",
                g->opt->servers);
    else if (g->source_count == 0)
        get_end(g, PLAIT_GET_SOURCES,
                "%s names no source of http or https that could be used; name URLs instead",
                g->document_shown);
    else
        get_open_output(g);
}

/* ---- the stages ---- */

static void drop_fetch(struct plait_get *g)
{
    plait_fetch_free(g->fetch);
    g->fetch = NULL;
    memset(&g->status, 0, sizeof g->status);
    g->status.size = PLAIT_FETCH_UNKNOWN;
}

/* No thread looks at what came. */
static bool is_idle(const struct plait_get *g)
{
    return !get_keepers_busy(g) && (g->sink == NULL || !g->sink->ops->is_busy(g->sink));
}

/* The fetch is given up for another one. False: threads still look at what it brought. */
static bool leave_fetch(struct plait_get *g)
{
    get_drop_lanes(g);
    get_drop_doubt(g);
    get_drop_claim(g);
    get_cancel_keepers(g);
    if (g->journal != NULL)
        plait_journal_file_mute(g->journal);
    if (!is_idle(g))
        return false;
    drop_fetch(g);
    return true;
}

static void fetch_once(struct plait_get *g)
{
    struct plait_fetch_cmd cmd;

    while (plait_fetch_poll_send(g->fetch, g->loop.now, &cmd))
        get_do_command(g, &cmd);
    get_tell_fetch_events(g);
    plait_fetch_get_status(g->fetch, g->loop.now, &g->status);
    get_keep_up(g);
    get_resume_lanes(g);
}

static void fetch_on(struct plait_get *g)
{
    uint64_t emitted;

    if (g->restart != NULL) {
        if (!leave_fetch(g))
            return;
        get_free_keepers(g);
        get_start_anew(g);
        return;
    }
    if (g->document_found >= 0) {
        if (!leave_fetch(g))
            return;
        get_free_keepers(g);
        get_close_output(g, false);
        get_turn_into_document(g);
        g->stage = STAGE_START;
        return;
    }
    if (g->name_found) {
        get_drop_lanes(g);
        drop_fetch(g);
        get_check_left(g);
        return;
    }
    get_ask_doubt(g);
    do {
        emitted = g->emitted;
        fetch_once(g);
    } while (g->emitted != emitted && !g->ending);
    if (g->status.fail == PLAIT_FETCH_FAIL_CHANGED && g->resume_used) {
        g->restart = "what an earlier run left is not what the source has now";
        plait_timer_set(&g->deadline, g->loop.now);
        return;
    }
    if (g->status.fail != PLAIT_FETCH_FAIL_NONE)
        get_blame(g);
    else if (g->status.done)
        g->stage = STAGE_VERIFY;
    plait_timer_set(&g->deadline, plait_fetch_next_deadline(g->fetch));
}

static void verify_on(struct plait_get *g)
{
    struct plait_fetch_cmd cmd;

    while (plait_fetch_poll_send(g->fetch, g->loop.now, &cmd))
        get_do_command(g, &cmd);
    plait_timer_set(&g->deadline, PLAIT_NEVER);
    if (g->restart != NULL) { /* told in time */
        get_back_to_fetch(g);
        return;
    }
    get_ask_doubt(g);
    if (get_is_doubt_open(g) || get_await_claim(g))
        return;
    get_keep_up(g); /* the digest may be news */
    if (!get_is_verified(g))
        return;
    g->stage = STAGE_STORE;
}

static void store_on(struct plait_get *g)
{
    if (g->sink_finishing)
        return;
    if (g->journal != NULL)
        plait_journal_file_mute(g->journal);
    if (get_keepers_busy(g))
        return;
    g->sink_finishing = true;
    g->sink->ops->finish(g->sink, g->status.size);
}

/* Without another source there is nothing to begin with until somebody has answered. */
static bool is_lan_awaited(const struct plait_get *g)
{
    return g->source_count == 0 && get_lan_pending(g);
}

static void look(struct plait_get *g)
{
    get_ask_documents(g);
    get_ask_directors(g);
    switch (g->stage) {
    case STAGE_START:
        if (!get_documents_pending(g) && !get_directors_pending(g) && !is_lan_awaited(g) && !g->ending)
            get_have_sources(g);
        break;
    case STAGE_FETCH:
        fetch_on(g);
        break;
    case STAGE_VERIFY:
        verify_on(g);
        break;
    case STAGE_STORE:
        store_on(g);
        break;
    case STAGE_CHECK:
    case STAGE_STOP:
        break;
    }
}

static void on_journal_stopped(void *ctx)
{
    (void)ctx; /* pump() looks whether all are idle */
}

static void begin_stop(struct plait_get *g)
{
    g->stage = STAGE_STOP;
    get_drop_lanes(g);
    get_drop_doubt(g);
    get_drop_claim(g);
    if (g->document_lane != NULL)
        plait_http_lane_drop(g->document_lane);
    get_drop_directors(g);
    get_cancel_keepers(g);
    if (g->exit_status != PLAIT_GET_DONE && g->exit_status != PLAIT_GET_CONTENT && g->journal != NULL)
        plait_journal_file_stop(g->journal, on_journal_stopped);
    plait_timer_set(&g->deadline, PLAIT_NEVER);
}

/* What an event has changed is looked at once, at its end. */
static void pump(void *ctx)
{
    struct plait_get *g = ctx;
    enum get_stage stage;

    do {
        stage = g->stage;
        if (!g->ending)
            look(g);
    } while (stage != g->stage && !g->ending);
    if (g->ending && g->stage != STAGE_STOP)
        begin_stop(g);
    if (g->stage == STAGE_STOP && is_idle(g))
        plait_loop_stop(&g->loop);
}

/* ---- timers and signals ---- */

static void on_deadline(void *ctx)
{
    struct plait_get *g = ctx;

    if (g->fetch != NULL && g->stage == STAGE_FETCH)
        plait_fetch_on_deadline(g->fetch, g->loop.now);
}

static void on_tick(void *ctx)
{
    struct plait_get *g = ctx;

    if (g->stage == STAGE_FETCH && g->fetch != NULL)
        get_excuse_lanes(g);
    if (g->stage == STAGE_FETCH && g->journal != NULL && g->loop.now - g->ticked >= TICK_NS) {
        g->ticked = g->loop.now;
        plait_journal_file_tick(g->journal);
    }
    plait_timer_set(&g->tick, g->loop.now + (g->lanes_wait ? TICK_WAITING_NS : TICK_NS));
}

static void on_progress(void *ctx)
{
    struct plait_get *g = ctx;

    get_tell_progress(g);
    plait_timer_set(&g->progress, g->loop.now + g->opt->progress_ns);
}

static void on_force(void *ctx)
{
    struct plait_get *g = ctx;

    plait_loop_stop(&g->loop);
}

static void on_signal(void *ctx, int signum)
{
    struct plait_get *g = ctx;

    if (g->signal != 0 && g->listener->leave != NULL)
        g->listener->leave(g->listener->ctx, PLAIT_GET_SIGNAL + signum);
    g->signal = signum;
    plait_timer_set(&g->force, g->loop.now + STOP_NS);
    get_end(g, PLAIT_GET_SIGNAL + signum, "interrupted");
}

static void on_routes_changed(void *ctx)
{
    struct plait_get *g = ctx;

    if (g->fetch != NULL && g->stage == STAGE_FETCH)
        get_look_at_routes(g);
}

/* ---- beginning and end ---- */

static void take_routes(struct plait_get *g)
{
    char why[PLAIT_ROUTE_ERROR_MAX], text[2 * PLAIT_ROUTE_ERROR_MAX];
    int err = g->opt->route_count == 0 ? plait_routes_add_default(&g->routes) : PLAIT_OK;

    if (err != PLAIT_OK)
        get_end(g, PLAIT_GET_FAILED, "out of memory");
    for (size_t i = 0; i < g->opt->route_count && !g->ending; i++) {
        const char *name = g->opt->routes[i];
        err = plait_routes_add(&g->routes, name, why);
        if (err == PLAIT_OK)
            continue;
        snprintf(text, sizeof text, "%.64s is left out: %s", strchr(name, '@') != NULL ? "a proxy" : name,
                 why);
        if (err == PLAIT_ERR_FORMAT || err == PLAIT_ERR_LIMIT) {
            get_end(g, PLAIT_GET_USAGE, "--via %.64s: %s; see plait get --help",
                    strchr(name, '@') != NULL ? "a proxy" : name, why);
            return;
        }
        get_say(g, PLAIT_GET_WARNING, "--via %s", text);
        get_tell(g, PLAIT_GET_EV_ROUTE_OUT, -1, 0, text);
    }
    if (g->routes.count == 0)
        get_end(g, PLAIT_GET_SOURCES,
                "no route is left; `ip address` shows the interfaces and addresses of this machine");
}

static void watch_routes(struct plait_get *g)
{
    for (size_t i = 0; i < g->routes.count && g->monitor == NULL; i++)
        if (g->routes.list[i].kind == PLAIT_ROUTE_INTERFACE)
            g->monitor = plait_netlink_monitor_new(&g->loop, on_routes_changed, g);
}

/* As many descriptors as the system lets us have: a connection per lane, and curl's own. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static bool start_http(struct plait_get *g)
{
    struct plait_http_config config = {
        .loop = &g->loop,
        .agent = "plait/" PLAIT_VERSION,
        .ca_file = g->opt->ca_file,
        .insecure = g->opt->insecure,
        .netrc = g->opt->netrc,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .rate = g->opt->rate_limit,
    };

    g->http = plait_http_new(&config);
    return g->http != NULL;
}

static void start_timers(struct plait_get *g)
{
    plait_timer_init(&g->deadline, &g->loop, on_deadline, g);
    plait_timer_init(&g->progress, &g->loop, on_progress, g);
    plait_timer_init(&g->tick, &g->loop, on_tick, g);
    plait_timer_init(&g->force, &g->loop, on_force, g);
    plait_timer_set(&g->tick, g->loop.now + TICK_NS);
    if (g->opt->progress_ns > 0)
        plait_timer_set(&g->progress, g->loop.now + g->opt->progress_ns);
}

static void catch_signals(struct plait_get *g)
{
    static const int signals[] = {SIGINT, SIGTERM};

    for (size_t i = 0; i < PLAIT_COUNT(signals); i++)
        if (plait_signal_init(&g->interrupts[g->interrupts_open], &g->loop, signals[i], on_signal, g) ==
            PLAIT_OK)
            g->interrupts_open++;
}

static void begin(struct plait_get *g)
{
    plait_loop_enter(&g->loop);
    g->started = g->loop.now;
    if (g->opt->digest.alg != PLAIT_DIGEST_NONE)
        get_know_digest(g, &g->opt->digest, DIGEST_USER, "was asked for");
    take_routes(g);
    if (!g->ending)
        get_take_urls(g);
    plait_loop_leave(&g->loop);
    watch_routes(g);
}

/* Whether a later run can use what is in the part: after wrong content nothing of it is trusted. */
static bool is_of_use(const struct plait_get *g)
{
    if (g->exit_status == PLAIT_GET_CONTENT)
        return false;
    if (g->journal == NULL)
        return g->resume_loaded; /* not gone on with yet: the journal that was found still is right */
    return g->sink_finishing || plait_journal_file_is_of_use(g->journal);
}

static void say_kept(struct plait_get *g)
{
    size_t len = strlen(g->error);

    if (g->signal == 0 || g->sink == NULL || g->sink->in_order)
        return;
    if (is_of_use(g))
        snprintf(g->error + len, sizeof g->error - len,
                 "; %.1f MB are kept beside %s: run the same command again to go on",
                 (double)g->status.kept_bytes / 1e6, g->name);
}

static void close_handles(struct plait_get *g)
{
    get_free_lanes(g);
    get_drop_doubt(g);
    get_drop_claim(g);
    get_drop_documents(g);
    get_free_directors(g);
    get_close_lan(g);
    plait_http_free(g->http);
    plait_netlink_monitor_free(g->monitor);
    plait_timer_close(&g->deadline);
    plait_timer_close(&g->progress);
    plait_timer_close(&g->tick);
    plait_timer_close(&g->force);
    for (unsigned i = 0; i < g->interrupts_open; i++)
        plait_signal_close(&g->interrupts[i]);
    plait_loop_drain(&g->loop);
}

static void free_all(struct plait_get *g)
{
    bool keep = is_of_use(g);

    get_free_keepers(g);
    get_close_output(g, keep);
    plait_fetch_free(g->fetch);
    for (int i = 0; i < g->source_count; i++)
        plait_source_done(&g->sources[i]);
    plait_routes_done(&g->routes);
    free(g->name);
    free(g->proposed_name);
    free(g->lan);
    plait_loop_done(&g->loop);
    free(g);
}

static struct plait_get *new_get(const struct plait_get_options *options,
                                 const struct plait_get_listener *listener)
{
    struct plait_get *g = calloc(1, sizeof *g);

    if (g == NULL)
        return NULL;
    g->opt = options;
    g->listener = listener;
    g->known_size = g->status.size = g->watched_size = PLAIT_FETCH_UNKNOWN;
    g->opened_fd = g->document_found = -1;
    if (plait_loop_init(&g->loop) == PLAIT_OK)
        return g;
    free(g);
    return NULL;
}

int plait_get_run(const struct plait_get_options *options, const struct plait_get_listener *listener,
                  bool *stuck)
{
    struct plait_get *g = new_get(options, listener);
    int exit_status;

    *stuck = false;
    if (g == NULL)
        return PLAIT_GET_FAILED;
    g->loop.after = pump;
    g->loop.after_ctx = g;
    raise_limits();
    start_timers(g);
    catch_signals(g);
    if (!start_http(g))
        get_end(g, PLAIT_GET_FAILED, "out of memory");
    begin(g);
    plait_loop_run(&g->loop);
    say_kept(g);
    get_tell_end(g);
    exit_status = g->exit_status;
    *stuck = !is_idle(g);
    if (*stuck)
        return exit_status;
    close_handles(g);
    free_all(g);
    return exit_status;
}
