#include "status_text.h"

#include <stdbool.h>
#include <string.h>

#include "quantity.h"
#include "units.h"

#define TEXT_MAX 64

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text != NULL ? text : "";
}

static double number_of(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

/* Bits a second. */
static const char *rate_text(const json_t *o, const char *name, char out[TEXT_MAX])
{
    double bits = number_of(o, name) * 8;

    if (!json_is_number(json_object_get(o, name)))
        out[0] = '\0';
    else if (bits >= 1e9)
        snprintf(out, TEXT_MAX, "%.2fG", bits / 1e9);
    else if (bits >= 1e6)
        snprintf(out, TEXT_MAX, "%.1fM", bits / 1e6);
    else
        snprintf(out, TEXT_MAX, "%.0fk", bits / 1e3);
    return out;
}

static const char *scaled_text(const json_t *o, const char *name, double scale, const char *format,
                               char out[TEXT_MAX])
{
    const json_t *v = json_object_get(o, name);

    out[0] = '\0';
    if (!json_is_number(v))
        return out;
    double x = json_number_value(v) * scale;
    if (strcmp(format, "%") == 0)
        snprintf(out, TEXT_MAX, "%.1f%%", x);
    else
        snprintf(out, TEXT_MAX, "%.1f", x);
    return out;
}

static void print_direction(FILE *to, const char *name, const json_t *d)
{
    char rate[TEXT_MAX], capacity[TEXT_MAX], share[TEXT_MAX], rtt[TEXT_MAX], queue[TEXT_MAX], loss[TEXT_MAX],
        order[TEXT_MAX];

    fprintf(to, "    %-4s %8s %8s %6s %7s %7s %6s %6s\n", name, rate_text(d, "rate", rate),
            rate_text(d, "capacity", capacity), scaled_text(d, "share", 100, "%", share),
            scaled_text(d, "rtt", 1, "", rtt), scaled_text(d, "queue", 1, "", queue),
            scaled_text(d, "loss", 100, "%", loss), scaled_text(d, "reordering", 100, "%", order));
}

static void print_path(FILE *to, const json_t *p)
{
    const json_t *quota = json_object_get(p, "quota");
    const char *name = text_of(p, "name"), *trouble = text_of(p, "trouble"), *other = text_of(p, "hub");
    char used[PLAIT_QUANTITY_MAX], limit[PLAIT_QUANTITY_MAX];

    if (other[0] == '\0')
        other = text_of(p, "node");
    fprintf(to, "  %s%s%d: %s%s%s%s%s%s%s", name, name[0] != '\0' ? ", path " : "path ",
            (int)number_of(p, "path"), text_of(p, "state"),
            json_is_true(json_object_get(p, "backup")) ? " (backup)" : "",
            text_of(p, "interface")[0] != '\0' ? ", " : "", text_of(p, "interface"),
            other[0] != '\0' ? " <-> " : "", other, trouble[0] != '\0' ? "; " : "");
    fprintf(to, "%s", trouble);
    if (quota != NULL)
        fprintf(to, "; %s of %s used", plait_quantity_bytes(number_of(quota, "used"), used),
                plait_quantity_bytes(number_of(quota, "limit"), limit));
    fputc('\n', to);
    if (json_object_get(p, "up") != NULL)
        print_direction(to, "up", json_object_get(p, "up"));
    if (json_object_get(p, "down") != NULL)
        print_direction(to, "down", json_object_get(p, "down"));
}

static void print_tunnel(FILE *to, const json_t *t)
{
    const json_t *session = json_object_get(t, "session"), *address;
    size_t i;
    json_t *path;

    json_array_foreach(json_object_get(t, "addresses"), i, address)
    {
        fprintf(to, "%s%s", i == 0 ? ", " : " and ", json_string_value(address));
    }
    if (json_is_integer(json_object_get(t, "lan")))
        fprintf(to, ", LAN %lld", (long long)json_integer_value(json_object_get(t, "lan")));
    const char *cipher = text_of(session, "cipher");
    bool has_keys = cipher[0] != '\0' && strcmp(cipher, "none") != 0;
    fprintf(to, "%s%s\n", has_keys ? ", " : "", has_keys ? cipher : "");
    fprintf(to, "    %-4s %8s %8s %6s %7s %7s %6s %6s\n", "", "bit/s", "carries", "share", "rtt ms", "queue",
            "loss", "order");
    print_direction(to, "up", json_object_get(t, "up"));
    print_direction(to, "down", json_object_get(t, "down"));
    json_array_foreach(json_object_get(t, "paths"), i, path)
    {
        print_path(to, path);
    }
}

static void print_weight(FILE *to, const json_t *weight)
{
    if (json_is_number(weight))
        fprintf(to, " %7g", json_number_value(weight));
    else
        fprintf(to, " %7s", "auto");
}

/* The router list: one line for each link that somebody on the LAN has on offer. */
static void print_member(FILE *to, const json_t *m)
{
    const json_t *links = json_object_get(m, "links");
    char rate[TEXT_MAX];
    json_t *link;
    size_t i;

    if (json_array_size(links) == 0)
        fprintf(to, "    %-16s %-24s %5s %6d\n", text_of(m, "name"), text_of(m, "address"), "-",
                (int)number_of(m, "missed"));
    json_array_foreach(links, i, link)
    {
        fprintf(to, "    %-16s %-24s %5d %6d", text_of(m, "name"), text_of(m, "address"),
                (int)number_of(link, "port"), (int)number_of(m, "missed"));
        print_weight(to, json_object_get(link, "weight_up"));
        print_weight(to, json_object_get(link, "weight_down"));
        fprintf(to, " %8s %s%s\n", rate_text(link, "capacity", rate), text_of(link, "state"),
                json_is_true(json_object_get(m, "same_hub")) ? "" : "another hub");
    }
}

static void print_community(FILE *to, const json_t *c)
{
    json_t *member;
    size_t i;

    fprintf(to, "\ncommunity %s on %s%s\n    %-16s %-24s %5s %6s %7s %7s %8s\n", text_of(c, "name"),
            text_of(c, "interface"), json_is_true(json_object_get(c, "up")) ? "" : " (down)", "neighbour",
            "address", "port", "missed", "w. up", "w. down", "up bit/s");
    json_array_foreach(json_object_get(c, "members"), i, member)
    {
        print_member(to, member);
    }
}

static void print_communities(FILE *to, const json_t *status)
{
    json_t *c;
    size_t i;

    json_array_foreach(json_object_get(status, "communities"), i, c)
    {
        print_community(to, c);
    }
}

static const char *time_text(const json_t *o, char out[PLAIT_QUANTITY_MAX])
{
    return plait_quantity_time((uint64_t)(number_of(o, "up_for") * 1e9), out);
}

/* The active list of each LAN. */
static void print_lans(FILE *to, const json_t *lans)
{
    json_t *lan, *name;
    size_t i, k;

    json_array_foreach(lans, i, lan)
    {
        fprintf(to, "LAN %lld:", (long long)json_integer_value(json_object_get(lan, "lan")));
        json_array_foreach(json_object_get(lan, "active"), k, name)
        {
            fprintf(to, " %s", json_string_value(name));
        }
        fputc('\n', to);
    }
}

void plait_status_print(FILE *to, const json_t *status)
{
    char time[PLAIT_QUANTITY_MAX];
    json_t *node;
    size_t i;

    const char *name = text_of(status, "name");
    int mtu = (int)number_of(status, "mtu");
    fprintf(to, "%s%s%s on %s: %s, up %s", text_of(status, "role"), name[0] != '\0' ? " " : "", name,
            text_of(status, "interface"), text_of(status, "state"), time_text(status, time));
    if (mtu > 0) /* a node has none before it has logged on */
        fprintf(to, ", MTU %d", mtu);
    if (strcmp(text_of(status, "role"), "hub") != 0) {
        print_tunnel(to, status);
        print_communities(to, status);
        return;
    }
    const json_t *nodes = json_object_get(status, "nodes");
    fprintf(to, ", %zu of %d nodes here\n", json_array_size(nodes), (int)number_of(status, "known_nodes"));
    print_lans(to, json_object_get(status, "lans"));
    json_array_foreach(nodes, i, node)
    {
        fprintf(to, "\nnode %s: %s, up %s", text_of(node, "name"), text_of(node, "state"),
                time_text(node, time));
        print_tunnel(to, node);
    }
}
