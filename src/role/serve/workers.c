#include "workers.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "exchange.h"

/* Of each connection: a request's head has to fit in it, together with that of its answer. */
#define HEAD_MEMORY ((size_t)32 * 1024)

/* What it has to say is about single connections; the access log tells that better. */
static void be_silent(void *cls, const char *format, va_list args)
{
    (void)cls;
    (void)format;
    (void)args;
}

static struct MHD_Daemon *start_one(struct plait_server *server, const struct plait_workers_options *o)
{
    const unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem items[12] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)be_silent, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)o->connections, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)o->stall_s, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)HEAD_MEMORY, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)plait_exchange_unescape, server},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)plait_exchange_begin, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)plait_exchange_end, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)plait_exchange_connection, server},
        {MHD_OPTION_END, 0, NULL},
    };
    size_t n = 9;

    if (o->cert == NULL)
        return MHD_start_daemon(flags, 0, NULL, NULL, plait_exchange_handle, server, MHD_OPTION_ARRAY, items,
                                MHD_OPTION_END);
    items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->cert};
    items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key};
    items[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(flags | MHD_USE_TLS, 0, NULL, NULL, plait_exchange_handle, server,
                            MHD_OPTION_HTTPS_PRIORITIES, PLAIT_TLS_PRIORITY, MHD_OPTION_ARRAY, items,
                            MHD_OPTION_END);
}

int plait_workers_start(struct plait_workers *w, struct plait_server *server,
                        const struct plait_workers_options *options)
{
    assert(options->count >= 1 && options->count <= PLAIT_WORKERS_MAX);
    memset(w, 0, sizeof *w);
    while (w->count < options->count && (w->at[w->count] = start_one(server, options)) != NULL)
        w->count++;
    if (w->count == options->count)
        return PLAIT_OK;
    plait_workers_stop(w);
    return PLAIT_ERR_NOMEM;
}

void plait_workers_stop(struct plait_workers *w)
{
    while (w->count > 0)
        MHD_stop_daemon(w->at[--w->count]);
}

static unsigned load_of(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return info != NULL ? info->num_connections : 0;
}

int plait_workers_give(struct plait_workers *w, int fd, const struct sockaddr *peer, socklen_t peer_len)
{
    /* Those given a moment ago may not be counted yet, so among equals each gets its turn. */
    size_t best = w->next;
    unsigned least = load_of(w->at[best]);

    for (size_t i = 1; i < w->count; i++) {
        size_t other = (w->next + i) % w->count;
        unsigned load = load_of(w->at[other]);
        if (load < least) {
            least = load;
            best = other;
        }
    }
    w->next = (best + 1) % w->count;
    return MHD_add_connection(w->at[best], fd, peer, peer_len) == MHD_YES ? PLAIT_OK : PLAIT_ERR_NOMEM;
}
