/*
 * A way for the network tests to call what src/io has for tunnels: each command is one of its headers. It tells what
 * it finds in JSON lines; what stays in force does so until its standard input ends.
 *
 *   watch NAME                          netwatch.h: a line at the beginning and at each change
 *   policy NAME TO[,TO]… [EXCEPT,…]     policy.h, with a TUN device of that name
 *   unpolicy NAME                       policy.h: what is left is removed
 *   loosen NAME                         policy.h
 *   queues NAME N                       tun.h: a device of N queues; at the end, how many packets came in each
 *   nat NAME OUT NET[,NET]… [PUBLISH]…  nat.h; OUT `-`: no masquerade
 *   unnat NAME
 *   ports NET[,NET]… [UDP-IDLE-S]       conntrack.h
 *   confined USER|- CALL                privileges.h: then CALL (see `calls`)
 *   control PATH                        control.h: answers
 *   ask PATH REQUEST
 *   udp …                               udp.h: see run_udp
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "conntrack.h"
#include "control.h"
#include "loop.h"
#include "nat.h"
#include "netwatch.h"
#include "policy.h"
#include "privileges.h"
#include "tun.h"
#include "udp.h"

#define LIST_MAX 1024

static void say(json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);

    puts(text);
    fflush(stdout);
    free(text);
    json_decref(line);
}

static int fail(const char *what, int err)
{
    say(json_pack("{s:s, s:s, s:s}", "failed", what, "err", plait_err_name(err), "errno", strerror(errno)));
    return 1;
}

static void wait_for_end(void)
{
    char byte;

    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

static size_t prefixes_of(const char *text, struct plait_prefix list[LIST_MAX])
{
    char word[64];
    size_t count = 0;

    while (text != NULL && count < LIST_MAX && plait_config_word(&text, word, sizeof word) == PLAIT_OK)
        if (plait_config_parse_prefix(word, &list[count++]) != PLAIT_OK)
            exit(2);
    return count;
}

static const char *address_text(const struct plait_prefix *p)
{
    static char text[4][INET6_ADDRSTRLEN];
    static unsigned turn;

    return inet_ntop(p->family, p->address, text[turn++ % 4], INET6_ADDRSTRLEN);
}

/* watch */

struct watching {
    struct plait_loop loop;
    struct plait_netwatch *watch;
    struct plait_watch input;
    const char *name;
};

static void tell_link(void *ctx)
{
    struct watching *w = ctx;
    const struct plait_netwatch_link *link = plait_netwatch_link(w->watch, w->name);
    json_t *addresses = json_array();
    struct plait_prefix p;

    for (size_t i = 0; link != NULL && plait_netwatch_address(w->watch, link->index, 0, i, &p); i++)
        json_array_append_new(addresses, json_sprintf("%s/%u", address_text(&p), p.bits));
    say(json_pack("{s:b, s:b, s:i, s:o, s:b, s:b, s:I}", "there", link != NULL, "up",
                  link != NULL && link->up, "mtu", link != NULL ? (int)link->mtu : 0, "addresses", addresses,
                  "default4", link != NULL && plait_netwatch_has_default(w->watch, link->index, AF_INET),
                  "default6", link != NULL && plait_netwatch_has_default(w->watch, link->index, AF_INET6),
                  "resyncs", (json_int_t)plait_netwatch_resync_count(w->watch)));
}

static void on_input(void *ctx)
{
    struct watching *w = ctx;
    char byte;

    if (read(STDIN_FILENO, &byte, 1) <= 0)
        plait_loop_stop(&w->loop);
}

static int run_watch(int argc, char **argv)
{
    static struct watching w;

    (void)argc;
    w.name = argv[0];
    if (plait_loop_init(&w.loop) != PLAIT_OK)
        return fail("loop", PLAIT_ERR_IO);
    w.watch = plait_netwatch_new(&w.loop, tell_link, &w);
    if (w.watch == NULL || plait_watch_init(&w.input, &w.loop, STDIN_FILENO, on_input, &w) != PLAIT_OK)
        return fail("netwatch", PLAIT_ERR_IO);
    tell_link(&w);
    plait_loop_run(&w.loop);
    plait_netwatch_free(w.watch);
    plait_watch_close(&w.input);
    plait_loop_drain(&w.loop);
    plait_loop_done(&w.loop);
    return 0;
}

/* policy */

static int run_policy(int argc, char **argv)
{
    const struct plait_tun_options tun_options = {.name = argv[0]};
    struct plait_prefix to[LIST_MAX], elsewhere[LIST_MAX], own[2];
    struct plait_policy_options o = {.interface = argv[0], .to = to, .elsewhere = elsewhere};
    struct plait_tun tun;
    int err;

    o.to_count = prefixes_of(argv[1], to);
    o.elsewhere_count = prefixes_of(argc > 2 ? argv[2] : NULL, elsewhere);
    if ((err = plait_tun_open(&tun, &tun_options)) != PLAIT_OK)
        return fail("tun", err);
    if (plait_config_parse_prefix("10.94.0.1", &own[0]) != PLAIT_OK ||
        plait_config_parse_prefix("fd94::1", &own[1]) != PLAIT_OK ||
        plait_tun_set(&tun, 1400, own, 2) != PLAIT_OK)
        return fail("tun addresses", PLAIT_ERR_IO);
    if ((err = plait_policy_set(&o)) != PLAIT_OK)
        return fail("policy", err);
    say(json_pack("{s:I, s:I}", "table", (json_int_t)plait_policy_table(argv[0]), "priority",
                  (json_int_t)plait_policy_priority(argv[0])));
    wait_for_end();
    err = plait_policy_clear(argv[0]);
    plait_tun_close(&tun);
    say(json_pack("{s:i}", "removed", err));
    return err < 0;
}

static int run_unpolicy(int argc, char **argv)
{
    (void)argc;
    say(json_pack("{s:i}", "removed", plait_policy_clear(argv[0])));
    return 0;
}

static int run_loosen(int argc, char **argv)
{
    (void)argc;
    say(json_pack("{s:i}", "changed", plait_policy_loosen(argv[0])));
    return 0;
}

static int run_queues(int argc, char **argv)
{
    const struct plait_tun_options options = {.name = argv[0], .multi_queue = true};
    static uint8_t frame[PLAIT_TUN_FRAME_MAX];
    struct plait_tun queues[LIST_MAX];
    struct plait_prefix own;
    int count = atoi(argv[1]), err = plait_tun_open(&queues[0], &options);
    json_t *packets = json_array();

    (void)argc;
    for (int i = 1; err == PLAIT_OK && i < count && i < LIST_MAX; i++)
        err = plait_tun_open_queue(&queues[0], &queues[i]);
    if (err == PLAIT_OK && plait_config_parse_prefix("10.94.0.1", &own) == PLAIT_OK) {
        own.bits = 24;
        err = plait_tun_set(&queues[0], 1400, &own, 1);
    }
    if (err != PLAIT_OK)
        return fail("queues", err);
    say(json_pack("{s:b}", "ready", 1));
    wait_for_end();
    for (int i = 0; i < count; i++) {
        int n = 0;
        while (plait_tun_read(&queues[i], frame, sizeof frame) > 0)
            n++;
        json_array_append_new(packets, json_integer(n));
        plait_tun_close(&queues[i]);
    }
    say(json_pack("{s:o}", "packets", packets));
    return 0;
}

/* nat */

static int run_nat(int argc, char **argv)
{
    struct plait_prefix networks[LIST_MAX];
    struct plait_nat_publish publish[LIST_MAX];
    struct plait_nat_options o = {.interface = argv[0],
                                  .out = strcmp(argv[1], "-") == 0 ? NULL : argv[1],
                                  .networks = networks,
                                  .clamp = true,
                                  .publish = publish,
                                  .udp_idle_s = PLAIT_CONNTRACK_UDP_IDLE_S};
    char error[PLAIT_NAT_ERROR_MAX], host[64];
    int err;

    o.network_count = prefixes_of(argv[2], networks);
    for (int i = 3; i < argc; i++) {
        struct plait_nat_publish *p = &publish[o.publish_count++];
        if (plait_nat_parse_publish(argv[i], &p->udp, &p->port, host, sizeof host, &p->to_port) != PLAIT_OK ||
            plait_config_parse_prefix(host, &p->to) != PLAIT_OK)
            return 2;
    }
    err = plait_nat_set(&o, error);
    if (err < 0)
        return fail(error, err);
    if (plait_nat_forward(argv[0], AF_INET) < 0 || (o.out != NULL && plait_nat_forward(o.out, AF_INET) < 0) ||
        plait_nat_forward(argv[0], AF_INET6) < 0)
        return fail("forward", PLAIT_ERR_IO);
    say(json_pack("{s:i}", "set", err));
    wait_for_end();
    say(json_pack("{s:i}", "removed", plait_nat_clear(argv[0], error)));
    return 0;
}

static int run_unnat(int argc, char **argv)
{
    char error[PLAIT_NAT_ERROR_MAX];

    (void)argc;
    say(json_pack("{s:i}", "removed", plait_nat_clear(argv[0], error)));
    return 0;
}

/* ports */

static int tell_port(void *ctx, const struct plait_conntrack_port *p)
{
    (void)ctx;
    say(json_pack("{s:i, s:i, s:s, s:i, s:s, s:i, s:I, s:I, s:b}", "protocol", p->protocol, "port", p->port,
                  "inner", address_text(&p->inner), "inner_port", p->inner_port, "remote",
                  address_text(&p->remote), "remote_port", p->remote_port, "idle", (json_int_t)p->idle_s,
                  "left", (json_int_t)p->left_s, "published", p->published));
    return 0;
}

static int run_ports(int argc, char **argv)
{
    struct plait_prefix networks[LIST_MAX];
    const struct plait_conntrack_query q = {.networks = networks,
                                            .network_count = prefixes_of(argv[0], networks),
                                            .udp_idle_s = argc > 1 ? (unsigned)atoi(argv[1]) : 0,
                                            .found = tell_port};
    int err = plait_conntrack_list(&q);

    return err == PLAIT_OK ? 0 : fail("conntrack", err);
}

/* confined */

static void *in_thread(void *arg)
{
    return arg;
}

static int call_nothing(void)
{
    return 0;
}

static int call_packet_socket(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}

static int call_mount(void)
{
    return mount("none", "/mnt", "tmpfs", 0, NULL);
}

static int call_chroot(void)
{
    return chroot("/tmp");
}

static int call_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid;
}

static int call_sethostname(void)
{
    return sethostname("other", 5);
}

static int call_mark(void)
{
    const int mark = 1;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
}

static int call_shadow(void)
{
    return open("/etc/shadow", O_RDONLY);
}

static int call_exec(void)
{
    return execl("/bin/true", "true", NULL);
}

static int call_writable_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                   MAP_FAILED
               ? -1
               : 0;
}

static int call_setuid(void)
{
    return setuid(0);
}

/* Made before, as the device's file may be root's. */
static struct plait_tun worked_on;

/* What a tunnel does all day. */
static int call_work(void)
{
    struct plait_udp_options udp = {.local = {.v4 = {.sin_family = AF_INET}}};
    struct plait_prefix own[1];
    struct plait_policy_options policy = {.interface = "plait-t0", .to = own, .to_count = 1};
    struct plait_nat_options nat = {.interface = "plait-t0", .clamp = true};
    char error[PLAIT_NAT_ERROR_MAX];
    struct plait_loop loop;
    struct plait_udp u;
    struct addrinfo *found;
    pthread_t thread;

    udp.mark = PLAIT_POLICY_MARK;
    if (plait_config_parse_prefix("10.94.0.1", &own[0]) != PLAIT_OK ||
        pthread_create(&thread, NULL, in_thread, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return -1;
    if (plait_loop_init(&loop) != PLAIT_OK || plait_udp_open(&u, &udp) != PLAIT_OK ||
        plait_tun_set(&worked_on, 1400, own, 1) != PLAIT_OK)
        return -1;
    if (plait_policy_set(&policy) != PLAIT_OK || plait_policy_clear("plait-t0") <= 0)
        return -1;
    if (plait_nat_set(&nat, error) < 0 || plait_nat_clear("plait-t0", error) != 1)
        return -1;
    if (getaddrinfo("localhost", "80", NULL, &found) != 0)
        return -1;
    freeaddrinfo(found);
    plait_udp_close(&u);
    plait_tun_close(&worked_on);
    plait_loop_drain(&loop);
    plait_loop_done(&loop);
    return 0;
}

static int run_confined(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(void);
    } calls[] = {
        {"nothing", call_nothing}, {"packet-socket", call_packet_socket},
        {"mount", call_mount},     {"chroot", call_chroot},
        {"fork", call_fork},       {"sethostname", call_sethostname},
        {"mark", call_mark},       {"shadow", call_shadow},
        {"exec", call_exec},       {"setuid", call_setuid},
        {"work", call_work},       {"writable-code", call_writable_code},
    };
    const struct plait_tun_options tun_options = {.name = "plait-t0"};
    int err;

    if (strcmp(argv[1], "work") == 0 && plait_tun_open(&worked_on, &tun_options) != PLAIT_OK)
        return fail("tun", PLAIT_ERR_IO);
    err = plait_privileges_drop(strcmp(argv[0], "-") == 0 ? NULL : argv[0], argc < 3);

    if (err == PLAIT_OK)
        err = plait_privileges_filter();
    if (err != PLAIT_OK)
        return fail("privileges", err);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (strcmp(calls[i].name, argv[1]) != 0)
            continue;
        errno = 0;
        int result = calls[i].fn();
        say(json_pack("{s:i, s:i, s:i}", "result", result, "errno", errno, "uid", (int)geteuid()));
        return 0;
    }
    return 2;
}

/* control */

struct controlling {
    struct plait_loop loop;
    struct plait_watch input;
};

static json_t *answer(void *ctx, const json_t *request)
{
    json_int_t n = json_integer_value(json_object_get(request, "bytes"));
    char *filler;
    json_t *made;

    (void)ctx;
    if (json_object_get(request, "none") != NULL)
        return NULL;
    filler = malloc((size_t)n + 1);
    memset(filler, 'x', (size_t)n);
    filler[n] = '\0';
    made = json_pack("{s:O, s:s}", "asked", request, "filler", filler);
    free(filler);
    return made;
}

static void on_control_input(void *ctx)
{
    struct controlling *c = ctx;
    char byte;

    if (read(STDIN_FILENO, &byte, 1) <= 0)
        plait_loop_stop(&c->loop);
}

static int run_control(int argc, char **argv)
{
    static struct controlling c;
    struct plait_control_config config = {
        .loop = &c.loop, .path = argv[0], .group = (gid_t)-1, .answer = answer};
    struct plait_control *control;
    int err;

    (void)argc;
    if (plait_loop_init(&c.loop) != PLAIT_OK)
        return fail("loop", PLAIT_ERR_IO);
    if ((err = plait_control_open(&config, &control)) != PLAIT_OK)
        return fail("control", err);
    if (plait_watch_init(&c.input, &c.loop, STDIN_FILENO, on_control_input, &c) != PLAIT_OK)
        return fail("watch", PLAIT_ERR_IO);
    say(json_pack("{s:b}", "ready", 1));
    plait_loop_run(&c.loop);
    plait_control_close(control);
    plait_watch_close(&c.input);
    plait_loop_drain(&c.loop);
    plait_loop_done(&c.loop);
    return 0;
}

static int run_ask(int argc, char **argv)
{
    json_t *request = json_loads(argv[1], 0, NULL), *found;
    int err = plait_control_ask(argv[0], request, argc > 2 ? (unsigned)atoi(argv[2]) : 2000, &found);

    json_decref(request);
    if (err != PLAIT_OK)
        return fail("ask", err);
    say(found);
    return 0;
}

/*
 * udp OWN:PORT PEER:PORT COUNT SIZE [interface=NAME] [plain] [connect] [buffer=BYTES] [from=ADDRESS:1]:
 * sends COUNT datagrams of SIZE bytes (the last
 * of half), numbered. COUNT 0: receives until the input ends and there have been SIZE of them, or none for two seconds;
 * tells how many came in how many calls, and on which own address.
 */

static union plait_udp_address udp_address(const char *text)
{
    struct plait_config_endpoint e;
    union plait_udp_address a;

    if (plait_config_parse_endpoint(text, 0, &e) != PLAIT_OK ||
        plait_udp_address_parse(e.host, e.port, &a) != PLAIT_OK)
        exit(2);
    return a;
}

static const char *udp_text(const union plait_udp_address *a)
{
    static char text[INET6_ADDRSTRLEN];
    const void *bytes =
        a->any.sa_family == AF_INET ? (const void *)&a->v4.sin_addr : (const void *)&a->v6.sin6_addr;

    if (a->any.sa_family == AF_UNSPEC)
        return "";
    return inet_ntop(a->any.sa_family, bytes, text, sizeof text);
}

static int send_udp(struct plait_udp *u, const struct plait_udp_end *end, size_t count, size_t size)
{
    struct plait_udp_packet *list = calloc(count, sizeof *list);
    uint8_t *bytes = calloc(count, size);
    size_t done = 0, sent;
    enum plait_udp_trouble trouble = PLAIT_UDP_OK;

    for (size_t i = 0; i < count; i++) {
        uint32_t number = htonl((uint32_t)i);
        list[i] =
            (struct plait_udp_packet){bytes + i * size, (uint32_t)(i + 1 < count ? size : size / 2), end};
        memcpy(list[i].data, &number, sizeof number);
    }
    while (done < count && trouble == PLAIT_UDP_OK) {
        trouble = plait_udp_send(u, list + done, count - done, &sent);
        done += sent;
        if (trouble == PLAIT_UDP_FULL || trouble == PLAIT_UDP_REFUSED)
            trouble = PLAIT_UDP_OK;
    }
    say(json_pack("{s:I, s:s, s:b}", "sent", (json_int_t)done, "trouble", plait_udp_trouble_text(trouble),
                  "segments", u->segments));
    free(list);
    free(bytes);
    return 0;
}

static int receive_udp(struct plait_udp *u, json_int_t wanted)
{
    struct plait_udp_inbox *in = plait_udp_inbox_new(8);
    const struct plait_udp_packet *list;
    json_int_t datagrams = 0, bytes = 0, calls = 0, disorder = 0;
    uint32_t next = 0, number;
    char own[INET6_ADDRSTRLEN] = "", from[INET6_ADDRSTRLEN] = "";
    bool ended = false;
    int count;

    for (;;) {
        struct pollfd fds[2] = {{.fd = u->fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
        int ready = poll(fds, ended ? 1 : 2, 2000);
        ended = ended || fds[1].revents != 0;
        count = plait_udp_recv(u, in, &list);
        if (count < 0)
            return fail("recv", count);
        for (int i = 0; i < count; i++) {
            memcpy(&number, list[i].data, list[i].len >= 4 ? 4 : 0);
            disorder += ntohl(number) != next;
            next = ntohl(number) + 1;
            bytes += list[i].len;
            snprintf(own, sizeof own, "%s", udp_text(&list[i].end->local));
            snprintf(from, sizeof from, "%s", udp_text(&list[i].end->remote));
        }
        datagrams += count;
        calls += count > 0;
        if (ended && (datagrams >= wanted || ready == 0))
            break;
    }
    say(json_pack("{s:I, s:I, s:I, s:I, s:s, s:s, s:I}", "datagrams", datagrams, "bytes", bytes, "calls",
                  calls, "disorder", disorder, "own", own, "from", from, "overflow",
                  (json_int_t)u->overflow_count));
    plait_udp_inbox_free(in);
    return 0;
}

static int run_udp(int argc, char **argv)
{
    struct plait_udp_end end = {.remote = udp_address(argv[1])};
    struct plait_udp_options o = {.local = udp_address(argv[0])};
    struct plait_udp u;
    int err;

    for (int i = 4; i < argc; i++) {
        if (strncmp(argv[i], "interface=", 10) == 0)
            o.interface = argv[i] + 10;
        o.plain = o.plain || strcmp(argv[i], "plain") == 0;
        if (strcmp(argv[i], "connect") == 0)
            o.remote = &end.remote;
        if (strncmp(argv[i], "buffer=", 7) == 0)
            o.buffer_bytes = (unsigned)atoi(argv[i] + 7);
        if (strncmp(argv[i], "from=", 5) == 0)
            end.local = udp_address(argv[i] + 5);
    }
    if ((err = plait_udp_open(&u, &o)) != PLAIT_OK)
        return fail("udp", err);
    say(json_pack("{s:b}", "ready", 1));
    if (atoi(argv[2]) > 0)
        err = send_udp(&u, &end, (size_t)atoi(argv[2]), (size_t)atoi(argv[3]));
    else
        err = receive_udp(&u, atoi(argv[3]));
    plait_udp_close(&u);
    return err;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
        int least;
    } commands[] = {
        {"watch", run_watch, 1},     {"policy", run_policy, 2}, {"unpolicy", run_unpolicy, 1},
        {"loosen", run_loosen, 1},   {"queues", run_queues, 2}, {"nat", run_nat, 3},
        {"unnat", run_unnat, 1},     {"ports", run_ports, 1},   {"confined", run_confined, 2},
        {"control", run_control, 1}, {"ask", run_ask, 2},       {"udp", run_udp, 4},
    };

    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].least)
            return commands[i].run(argc - 2, argv + 2);
    fprintf(stderr, "usage: see the top of io_kit.c\n");
    return 2;
}
