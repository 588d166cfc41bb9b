#include "topology.h"
#include "quantity.h"
#include "units.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct lab_topology *topology;
    const char *path;
    unsigned line;
    char **word; /* the words of the line, after the first */
    size_t count;
    unsigned metric; /* of the next default route without one */
};

PLAIT_PRINTF(2, 3) static int wrong(const struct reader *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%s:%u: ", r->path, r->line);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return PLAIT_ERR_FORMAT;
}

static int no_room(const struct reader *r, const char *what)
{
    wrong(r, "too many %s", what);
    return PLAIT_ERR_LIMIT;
}

/* Letters, digits and _ : names become interface names and environment variables. */
static int take_name(const struct reader *r, const char *text, char out[LAB_NAME_MAX])
{
    size_t len = strlen(text);
    bool good = len > 0 && len < LAB_NAME_MAX - 3 && isalpha((unsigned char)text[0]);
    for (size_t i = 0; good && i < len; i++)
        good = isalnum((unsigned char)text[i]) || text[i] == '_';
    if (!good)
        return wrong(r, "'%s' is no name: expected a letter, then letters, digits or _, at most %d in all",
                     text, LAB_NAME_MAX - 4);
    const struct lab_topology *t = r->topology;
    for (size_t i = 0; i < t->host_count; i++)
        if (strcmp(t->host[i].name, text) == 0)
            return wrong(r, "'%s' is a host already", text);
    for (size_t i = 0; i < t->lan_count; i++)
        if (strcmp(t->lan[i].name, text) == 0)
            return wrong(r, "'%s' is a lan already", text);
    if (lab_topology_find_link(t, text) >= 0)
        return wrong(r, "'%s' is a link already", text);
    if (strcmp(text, "lo") == 0 || strcmp(text, "all") == 0 || strcmp(text, "default") == 0)
        return wrong(r, "'%s' is a name that every host has already", text);
    memcpy(out, text, len + 1);
    return 0;
}

static int find_host(const struct reader *r, const char *text, size_t *host)
{
    for (size_t i = 0; i < r->topology->host_count; i++) {
        if (strcmp(r->topology->host[i].name, text) == 0) {
            *host = i;
            return 0;
        }
    }
    return wrong(r, "no host '%s': name it on a line 'host %s' above", text, text);
}

static int take_addr(const struct reader *r, const char *text, char out[LAB_ADDR_MAX])
{
    char plain[LAB_ADDR_MAX];
    uint8_t bytes[16];
    size_t len = strcspn(text, "/");
    if (strlen(text) >= LAB_ADDR_MAX)
        return wrong(r, "'%s' is too long for an address", text);
    memcpy(plain, text, len);
    plain[len] = '\0';
    bool v6 = strchr(plain, ':') != NULL;
    char *rest;
    long plen = text[len] == '/' ? strtol(text + len + 1, &rest, 10) : -1;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, plain, bytes) != 1 || plen < 0 || *rest || plen > (v6 ? 128 : 32))
        return wrong(r, "'%s' is no address with prefix length, such as 10.1.1.2/24 or fd00::2/64", text);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

/* "HOST ADDR[,ADDR…]" at words `at` and `at` + 1. */
static int take_end(const struct reader *r, size_t at, struct lab_end *end)
{
    if (r->count < at + 2)
        return wrong(r, "expected a host and its address");
    int err = find_host(r, r->word[at], &end->host);
    char *save = NULL;
    for (char *a = strtok_r(r->word[at + 1], ",", &save); a && !err; a = strtok_r(NULL, ",", &save)) {
        if (end->addr_count == LAB_END_ADDRS_MAX)
            return no_room(r, "addresses of one end");
        err = take_addr(r, a, end->addr[end->addr_count++]);
    }
    if (!err && end->addr_count == 0)
        return wrong(r, "expected an address after host %s", r->word[at]);
    return err;
}

/* Takes the words of a link that are not its shape's out of the list; the rest stays in `rest`. */
static int take_link_options(struct reader *r, struct lab_link *link, char *rest[], size_t *rest_count)
{
    bool has_metric = false;
    for (size_t i = 5; i < r->count; i++) {
        double value = 0;
        const char *word = r->word[i];
        bool metric = strcmp(word, "metric") == 0;
        if (strcmp(word, "default") == 0) {
            link->has_default = true;
        } else if (metric || strcmp(word, "mtu") == 0) {
            if (++i >= r->count ||
                lab_quantity_number(r->word[i], metric ? 0 : 576, metric ? 1e6 : 2000, &value))
                return wrong(r, "expected a number after '%s'%s", word, metric ? "" : ", 576 to 2000");
            *(metric ? &link->metric : &link->mtu_bytes) = (unsigned)value;
            has_metric = has_metric || metric;
        } else {
            rest[(*rest_count)++] = r->word[i];
        }
    }
    if (link->has_default && !has_metric)
        link->metric = r->metric++;
    return 0;
}

static int read_joint(struct reader *r, bool emulated)
{
    struct lab_topology *t = r->topology;
    if (t->link_count == LAB_LINKS_MAX)
        return no_room(r, "links");
    struct lab_link link = {.emulated = emulated, .mtu_bytes = 1500};
    lab_shape_init(link.shape);
    if (r->count < 5)
        return wrong(r, "expected a name, a host and its address, and another host and its address");
    int err = take_name(r, r->word[0], link.name);
    for (size_t end = 0; end < 2 && !err; end++)
        err = take_end(r, 1 + 2 * end, &link.end[end]);
    if (err)
        return err;
    if (link.end[0].host == link.end[1].host)
        return wrong(r, "both ends of '%s' are the same host", link.name);
    char *rest[LAB_WORDS_MAX], why[LAB_WHY_MAX];
    size_t rest_count = 0;
    err = take_link_options(r, &link, rest, &rest_count);
    if (err)
        return err;
    if (!emulated && rest_count)
        return wrong(r, "'%s': a veth has no shape, only default, metric and mtu", rest[0]);
    if (lab_shape_apply(link.shape, rest, rest_count, why))
        return wrong(r, "%s", why);
    t->link[t->link_count++] = link;
    return 0;
}

static int read_link(struct reader *r)
{
    return read_joint(r, true);
}

static int read_veth(struct reader *r)
{
    return read_joint(r, false);
}

static int read_host(struct reader *r)
{
    struct lab_topology *t = r->topology;
    if (t->host_count == LAB_HOSTS_MAX)
        return no_room(r, "hosts");
    struct lab_host host = {.forward = r->count == 2 && strcmp(r->word[1], "forward") == 0};
    if (r->count < 1 || r->count > 2 || (r->count == 2 && !host.forward))
        return wrong(r, "expected a name, and perhaps 'forward'");
    int err = take_name(r, r->word[0], host.name);
    if (!err)
        t->host[t->host_count++] = host;
    return err;
}

static int read_lan(struct reader *r)
{
    struct lab_topology *t = r->topology;
    if (t->lan_count == LAB_LANS_MAX)
        return no_room(r, "lans");
    if (r->count < 3 || r->count % 2 == 0)
        return wrong(r, "expected a name, then hosts, each with its address");
    struct lab_lan *lan = &t->lan[t->lan_count];
    int err = take_name(r, r->word[0], lan->name);
    for (size_t at = 1; at < r->count && !err; at += 2) {
        if (lan->end_count == LAB_ENDS_MAX)
            return no_room(r, "hosts on one lan");
        err = take_end(r, at, &lan->end[lan->end_count++]);
    }
    t->lan_count++;
    return err;
}

/* Joins words `from` and on with spaces. */
static int join(const struct reader *r, size_t from, char out[LAB_TEXT_MAX])
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = from; i < r->count; i++) {
        size_t len = strlen(r->word[i]);
        if (used + len + 2 > LAB_TEXT_MAX)
            return wrong(r, "the line is too long");
        used += (size_t)snprintf(out + used, LAB_TEXT_MAX - used, "%s%s", i > from ? " " : "", r->word[i]);
    }
    return 0;
}

static int read_extra(struct reader *r, struct lab_extra *list, size_t *count, const char *expected)
{
    if (*count == LAB_EXTRAS_MAX)
        return no_room(r, "lines of this kind");
    if (r->count < 2)
        return wrong(r, "expected %s", expected);
    struct lab_extra *extra = &list[*count];
    int err = find_host(r, r->word[0], &extra->host);
    if (!err)
        err = join(r, 1, extra->text);
    if (!err)
        (*count)++;
    return err;
}

static int read_addr(struct reader *r)
{
    char addr[LAB_ADDR_MAX];
    if (r->count >= 2 && take_addr(r, r->word[1], addr))
        return PLAIT_ERR_FORMAT;
    return read_extra(r, r->topology->addr, &r->topology->addr_count,
                      "a host, an address, and perhaps 'dev' and an interface (otherwise lo)");
}

static int read_route(struct reader *r)
{
    return read_extra(r, r->topology->route, &r->topology->route_count,
                      "a host and what 'ip route add' would be given");
}

static int read_sysctl(struct reader *r)
{
    if (r->count < 3 || strncmp(r->word[1], "net.", 4) != 0 || strstr(r->word[1], "..") ||
        strchr(r->word[1], '/'))
        return wrong(r, "expected a host, a name under net. and a value");
    return read_extra(r, r->topology->sysctl, &r->topology->sysctl_count, "a host, a name and a value");
}

static int read_at(struct reader *r)
{
    struct lab_topology *t = r->topology;
    struct lab_event event = {0};
    size_t at = 1;
    if (t->event_count == LAB_EVENTS_MAX)
        return no_room(r, "moments");
    if (r->count < 3 || lab_quantity_time(r->word[0], &event.at_ns))
        return wrong(r, "expected a time such as 2s, perhaps 'every 15s', a link, and what is to change");
    if (strcmp(r->word[1], "every") == 0) {
        if (r->count < 5 || lab_quantity_time(r->word[2], &event.every_ns) || event.every_ns < PLAIT_MS)
            return wrong(r, "expected a time after 'every', 1ms or more, and a link and what is to change");
        at = 3;
    }
    int link = lab_topology_find_link(t, r->word[at]);
    if (link < 0 || !t->link[link].emulated)
        return wrong(r, "no link '%s' (a veth cannot be changed)", r->word[at]);
    struct lab_shape scratch[LAB_WAYS] = {t->link[link].shape[LAB_DOWN], t->link[link].shape[LAB_UP]};
    char why[LAB_WHY_MAX];
    if (lab_shape_apply(scratch, r->word + at + 1, r->count - at - 1, why))
        return wrong(r, "%s", why);
    event.link = (size_t)link;
    int err = join(r, at + 1, event.text);
    if (!err)
        t->event[t->event_count++] = event;
    return err;
}

static int read_seed(struct reader *r)
{
    double seed = 0;
    if (r->count != 1 || lab_quantity_number(r->word[0], 0, 9e15, &seed))
        return wrong(r, "expected a number");
    r->topology->has_seed = true;
    r->topology->seed = (uint64_t)seed;
    return 0;
}

static const struct {
    const char *name;
    int (*read)(struct reader *r);
} kinds[] = {
    {"host", read_host},     {"link", read_link}, {"veth", read_veth},
    {"lan", read_lan},       {"addr", read_addr}, {"at", read_at},
    {"sysctl", read_sysctl}, {"seed", read_seed}, {"route", read_route},
};

static int read_line(struct reader *r, char *line)
{
    char *words[LAB_WORDS_MAX];
    size_t count = lab_topology_split(line, words, LAB_WORDS_MAX);
    if (count == 0)
        return 0;
    if (count == LAB_WORDS_MAX)
        return wrong(r, "too many words");
    r->word = words + 1;
    r->count = count - 1;
    for (size_t i = 0; i < PLAIT_COUNT(kinds); i++)
        if (strcmp(words[0], kinds[i].name) == 0)
            return kinds[i].read(r);
    return wrong(r, "unknown word '%s': expected host, link, veth, lan, addr, route, sysctl, at or seed",
                 words[0]);
}

size_t lab_topology_split(char *line, char *words[], size_t max)
{
    size_t count = 0;
    char *save = NULL;
    line[strcspn(line, "#")] = '\0';
    for (char *w = strtok_r(line, " \t\r\n", &save); w && count < max; w = strtok_r(NULL, " \t\r\n", &save))
        words[count++] = w;
    return count;
}

int lab_topology_find_link(const struct lab_topology *t, const char *name)
{
    for (size_t i = 0; i < t->link_count; i++)
        if (strcmp(t->link[i].name, name) == 0)
            return (int)i;
    return PLAIT_ERR_NOTFOUND;
}

int lab_topology_read(struct lab_topology *topology, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    if (!file) {
        fprintf(stderr, "plait-lab: cannot read %s: %m\n", path);
        return PLAIT_ERR_IO;
    }
    *topology = (struct lab_topology){0};
    struct reader r = {.topology = topology, .path = standard ? "standard input" : path, .metric = 100};
    char *line = NULL;
    size_t size = 0;
    int err = 0;
    while (!err && getline(&line, &size, file) >= 0) {
        r.line++;
        err = read_line(&r, line);
    }
    if (!err && topology->host_count == 0) {
        fprintf(stderr, "%s: no host\n", r.path);
        err = PLAIT_ERR_FORMAT;
    }
    free(line);
    if (!standard)
        fclose(file);
    return err;
}
