#include "control.h"
#include "units.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    REQUEST_MAX = 512,
    PATIENCE_MS = 10000, /* how long a client waits for a lab */
};

static int socket_at(const char *path, struct sockaddr_un *addr)
{
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(addr->sun_path, sizeof addr->sun_path, "%s", path);
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

int lab_control_listen(const char *path)
{
    struct sockaddr_un addr;
    int fd = socket_at(path, &addr);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(fd, LAB_CLIENTS_MAX) == 0)
        return fd;
    fprintf(stderr, "plait-lab: cannot listen at %s: %m\n", path);
    if (fd >= 0)
        close(fd);
    return PLAIT_ERR_IO;
}

int lab_control_accept(int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int size = LAB_REPLY_MAX;
    if (fd < 0)
        return PLAIT_ERR_IO;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0)
        return fd;
    close(fd);
    return PLAIT_ERR_IO;
}

/* the account */

static void write_count(FILE *out, const char *name, const struct lab_count *c)
{
    fprintf(out, "\"%s_packets\":%llu,\"%s_bytes\":%llu,", name, (unsigned long long)c->packets, name,
            (unsigned long long)c->bytes);
}

static void write_lane(FILE *out, const struct lab_lane *lane)
{
    const struct lab_tally *t = &lane->tally;
    const struct lab_shape *s = &lane->shape;
    write_count(out, "in", &t->in);
    write_count(out, "out", &t->out);
    write_count(out, "dropped", &t->dropped);
    write_count(out, "lost", &t->lost);
    write_count(out, "swallowed", &t->swallowed);
    fprintf(out, "\"held_packets\":%zu,", lane->queue.count + lane->flight.count);
    fprintf(out, "\"queue_bytes\":%llu,\"queue_bytes_peak\":%llu,\"wait_ms_peak\":%.3f,",
            (unsigned long long)lane->queue_bytes, (unsigned long long)t->queue_bytes_peak,
            (double)t->wait_ns_peak / 1e6);
    fprintf(out, "\"rate_bps\":%llu,\"delay_ms\":%.3f,\"jitter_ms\":%.3f,\"loss\":%g,\"state\":\"%s\"",
            (unsigned long long)s->rate_bps, (double)s->delay_ns / 1e6, (double)s->jitter_ns / 1e6, s->loss,
            s->unplugged ? "unplugged"
            : s->dead    ? "dead"
                         : "alive");
}

static void write_link(const struct lab_engine *e, size_t i, FILE *out)
{
    const struct lab_link *link = &e->topology->link[i];
    const struct lab_host *host = e->topology->host;
    fprintf(out, "{\"name\":\"%s\",\"hosts\":[\"%s\",\"%s\"],\"down\":{", link->name,
            host[link->end[0].host].name, host[link->end[1].host].name);
    write_lane(out, &e->pair[i].lane[LAB_DOWN]);
    fprintf(out, "},\"up\":{");
    write_lane(out, &e->pair[i].lane[LAB_UP]);
    fprintf(out, "}}");
}

static void write_event(const struct lab_engine *e, size_t i, FILE *out)
{
    const struct lab_event *event = &e->topology->event[i];
    fprintf(out, "{\"at_s\":%.6f,\"link\":\"%s\",\"change\":\"%s\",\"fired_s\":", plait_to_s(event->at_ns),
            e->topology->link[event->link].name, event->text);
    if (e->moment[i].fired_ns)
        fprintf(out, "%.6f}", plait_to_s(e->moment[i].fired_ns - e->mark_ns));
    else
        fprintf(out, "null}");
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void lab_control_write_stats(const struct lab_engine *e, uint64_t now_ns, FILE *out)
{
    struct rusage used = {0};
    getrusage(RUSAGE_SELF, &used);
    fprintf(out, "{\"lab\":\"%s\",\"elapsed_s\":%.6f,\"since_mark_s\":%.6f,", e->id,
            plait_to_s(now_ns - e->start_ns), plait_to_s(now_ns - e->mark_ns));
    fprintf(out, "\"cpu_s\":%.6f,\"wakeups\":%llu,\"late_ms_peak\":%.3f,\"late_count\":%llu,\n\"links\":[",
            seconds(used.ru_utime) + seconds(used.ru_stime), (unsigned long long)e->wakeups,
            (double)e->late_ns_peak / 1e6, (unsigned long long)e->late_count);
    const char *between = "";
    for (size_t i = 0; i < e->topology->link_count; i++) {
        if (!e->topology->link[i].emulated)
            continue;
        fputs(between, out);
        write_link(e, i, out);
        between = ",\n";
    }
    fprintf(out, "],\n\"events\":[");
    for (size_t i = 0; i < e->topology->event_count; i++) {
        fputs(i ? ",\n" : "", out);
        write_event(e, i, out);
    }
    fprintf(out, "]}\n");
}

static void write_row(const struct lab_lane *lane, const char *name, const char *way, FILE *out)
{
    const struct lab_tally *t = &lane->tally;
    fprintf(out, "%-12s %-4s %8.2f %8.1f %10llu %10llu %8llu %8llu %9llu\n", name, way,
            (double)lane->shape.rate_bps / 1e6, (double)lane->shape.delay_ns / 1e6,
            (unsigned long long)t->in.packets, (unsigned long long)t->out.packets,
            (unsigned long long)t->dropped.packets, (unsigned long long)t->lost.packets,
            (unsigned long long)t->swallowed.packets);
}

static void write_table(const struct lab_engine *e, uint64_t now_ns, FILE *out)
{
    fprintf(out, "lab %s, %.1f s after the last mark; packets:\n", e->id, plait_to_s(now_ns - e->mark_ns));
    fprintf(out, "link         way    mbit/s delay ms         in        out  dropped     lost swallowed\n");
    for (size_t i = 0; i < e->topology->link_count; i++) {
        if (!e->topology->link[i].emulated)
            continue;
        write_row(&e->pair[i].lane[LAB_DOWN], e->topology->link[i].name, "down", out);
        write_row(&e->pair[i].lane[LAB_UP], "", "up", out);
    }
}

/* the lab's end */

static void set_link(struct lab_engine *e, uint64_t now_ns, char *const words[], size_t count, FILE *out)
{
    char why[LAB_WHY_MAX];
    int link = count >= 3 ? lab_topology_find_link(e->topology, words[1]) : PLAIT_ERR_NOTFOUND;
    if (link < 0 || !e->topology->link[link].emulated)
        fprintf(out, "error: expected an emulated link and what is to change\n");
    else if (lab_engine_set(e, now_ns, (size_t)link, words + 2, count - 2, why))
        fprintf(out, "error: %s\n", why);
    else
        fprintf(out, "ok\n");
}

static bool answer(struct lab_engine *e, uint64_t now_ns, char *request, FILE *out)
{
    char *words[LAB_WORDS_MAX];
    size_t count = lab_topology_split(request, words, LAB_WORDS_MAX);
    const char *verb = count ? words[0] : "";
    if (strcmp(verb, "set") == 0) {
        set_link(e, now_ns, words, count, out);
        return false;
    }
    if (strcmp(verb, "mark") == 0) {
        lab_engine_mark(e, now_ns);
    } else if (strcmp(verb, "down") == 0) {
        e->stopping = true;
    } else if (strcmp(verb, "stats") != 0) {
        fprintf(out, "error: unknown request\n");
        return false;
    }
    fprintf(out, "ok\n");
    if (strcmp(verb, "stats") == 0 && count == 2)
        write_table(e, now_ns, out);
    else if (strcmp(verb, "mark") != 0)
        lab_control_write_stats(e, now_ns, out);
    return e->stopping;
}

bool lab_control_serve(struct lab_engine *e, int fd, uint64_t now_ns)
{
    char request[REQUEST_MAX], *reply = NULL;
    size_t size = 0;
    ssize_t n = recv(fd, request, sizeof request - 1, 0);
    FILE *out = n > 0 ? open_memstream(&reply, &size) : NULL;
    if (!out)
        return false;
    request[n] = '\0';
    bool keep = answer(e, now_ns, request, out);
    fclose(out);
    if (send(fd, reply, size, MSG_NOSIGNAL) < 0)
        fprintf(stderr, "plait-lab: cannot answer on the control socket: %m\n");
    free(reply);
    return keep;
}

/* the client's end */

static int receive(int fd, char *reply, FILE *out)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ssize_t n = poll(&ready, 1, PATIENCE_MS) == 1 ? recv(fd, reply, LAB_REPLY_MAX - 1, 0) : -1;
    if (n <= 0) {
        fprintf(stderr, "plait-lab: the lab does not answer\n");
        return PLAIT_ERR_IO;
    }
    reply[n] = '\0';
    if (strncmp(reply, "ok\n", 3) != 0) {
        fprintf(stderr, "plait-lab: %s", reply);
        return PLAIT_ERR_ARG;
    }
    if (out)
        fputs(reply + 3, out);
    return 0;
}

static int exchange(int fd, const char *request, FILE *out, bool to_the_end)
{
    char *reply = malloc(LAB_REPLY_MAX);
    int err = reply ? 0 : PLAIT_ERR_NOMEM;
    if (!err && send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        err = PLAIT_ERR_IO;
    if (!err)
        err = receive(fd, reply, out);
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    if (!err && to_the_end && poll(&ended, 1, PATIENCE_MS) != 1) {
        fprintf(stderr, "plait-lab: the lab does not end\n");
        err = PLAIT_ERR_IO;
    }
    free(reply);
    return err;
}

int lab_control_ask(const char *path, const char *request, FILE *out, bool to_the_end)
{
    struct sockaddr_un addr;
    int fd = socket_at(path, &addr);
    int err = fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0 ? 0 : PLAIT_ERR_IO;
    if (err)
        fprintf(stderr, "plait-lab: cannot reach the lab at %s: %m\n", path);
    else
        err = exchange(fd, request, out, to_the_end);
    if (fd >= 0)
        close(fd);
    return err;
}
