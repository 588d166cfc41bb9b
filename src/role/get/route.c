#include "route.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "netlink.h"
#include "units.h"
#include "url.h"

static bool is_known(const struct plait_routes *r, const struct plait_route *route)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i].kind == route->kind && strcmp(r->list[i].name, route->name) == 0)
            return true;
    return false;
}

static void free_route(struct plait_route *route)
{
    free(route->name);
    free(route->proxy);
    memset(route, 0, sizeof *route);
}

/* Takes the route. */
static int add(struct plait_routes *r, struct plait_route *route, char why[PLAIT_ROUTE_ERROR_MAX])
{
    int err = PLAIT_OK;

    if (route->name == NULL || (route->kind == PLAIT_ROUTE_PROXY && route->proxy == NULL)) {
        snprintf(why, PLAIT_ROUTE_ERROR_MAX, "out of memory");
        err = PLAIT_ERR_NOMEM;
    } else if (r->count == PLAIT_ROUTES_MAX) {
        snprintf(why, PLAIT_ROUTE_ERROR_MAX, "there are more than %d routes", PLAIT_ROUTES_MAX);
        err = PLAIT_ERR_LIMIT;
    } else if (!is_known(r, route)) {
        r->list[r->count++] = *route;
        return PLAIT_OK;
    }
    free_route(route);
    return err;
}

static int add_interface(struct plait_routes *r, const char *name, char why[PLAIT_ROUTE_ERROR_MAX])
{
    struct plait_route route = {.kind = PLAIT_ROUTE_INTERFACE, .name = strdup(name)};

    snprintf(route.egress.interface, sizeof route.egress.interface, "%.*s", IF_NAMESIZE - 1, name);
    route.up = plait_iface_is_up(name);
    return add(r, &route, why);
}

static int add_address(struct plait_routes *r, const char *text, const struct sockaddr_storage *address,
                       char why[PLAIT_ROUTE_ERROR_MAX])
{
    struct plait_route route = {.kind = PLAIT_ROUTE_INTERFACE};
    int err = plait_iface_of_address((const struct sockaddr *)address, route.egress.interface);

    if (err != PLAIT_OK) {
        snprintf(why, PLAIT_ROUTE_ERROR_MAX, "%s is not an address of this machine", text);
        return err;
    }
    route.egress.has_address = true;
    route.egress.address = *address;
    route.up = plait_iface_is_up(route.egress.interface);
    route.name = strdup(text);
    return add(r, &route, why);
}

static int add_proxy(struct plait_routes *r, const char *url, char why[PLAIT_ROUTE_ERROR_MAX])
{
    static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://"};
    struct plait_route route = {.kind = PLAIT_ROUTE_PROXY, .up = true};

    for (size_t i = 0; i < PLAIT_COUNT(schemes); i++) {
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) != 0)
            continue;
        const char *host = strrchr(url, '@');
        route.proxy = strdup(url);
        if (asprintf(&route.name, "%s%s", schemes[i], host != NULL ? host + 1 : url + strlen(schemes[i])) < 0)
            route.name = NULL;
        return add(r, &route, why);
    }
    snprintf(why, PLAIT_ROUTE_ERROR_MAX, "a proxy is http://, https://, socks5:// or socks5h://HOST:PORT");
    return PLAIT_ERR_FORMAT;
}

static int add_all(struct plait_routes *r, char why[PLAIT_ROUTE_ERROR_MAX])
{
    char names[PLAIT_ROUTES_MAX][IF_NAMESIZE];
    int count = plait_netlink_default_interfaces(names, PLAIT_ROUTES_MAX), err = PLAIT_OK;

    if (count <= 0) {
        snprintf(why, PLAIT_ROUTE_ERROR_MAX, "no interface that is up has a default route");
        return count < 0 ? count : PLAIT_ERR_NOTFOUND;
    }
    for (int i = 0; i < count && err == PLAIT_OK; i++)
        err = add_interface(r, names[i], why);
    return err;
}

static bool parse_address(const char *text, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        return true;
    }
    return false;
}

int plait_routes_add(struct plait_routes *r, const char *text, char why[PLAIT_ROUTE_ERROR_MAX])
{
    struct sockaddr_storage address;

    if (strstr(text, "://") != NULL)
        return add_proxy(r, text, why);
    if (strcmp(text, "all") == 0)
        return add_all(r, why);
    if (parse_address(text, &address))
        return add_address(r, text, &address, why);
    if (text[0] == '\0' || strlen(text) >= IF_NAMESIZE || strchr(text, '/') != NULL ||
        strchr(text, ' ') != NULL) {
        snprintf(why, PLAIT_ROUTE_ERROR_MAX, "neither an interface, nor an address, nor a proxy's URL");
        return PLAIT_ERR_FORMAT;
    }
    if (if_nametoindex(text) == 0) {
        snprintf(why, PLAIT_ROUTE_ERROR_MAX, "there is no interface of that name");
        return PLAIT_ERR_NOTFOUND;
    }
    return add_interface(r, text, why);
}

int plait_routes_add_default(struct plait_routes *r)
{
    struct plait_route route = {.kind = PLAIT_ROUTE_DEFAULT, .name = strdup("default"), .up = true};
    char why[PLAIT_ROUTE_ERROR_MAX];

    return add(r, &route, why);
}

void plait_routes_done(struct plait_routes *r)
{
    for (size_t i = 0; i < r->count; i++)
        free_route(&r->list[i]);
    r->count = 0;
}

const struct plait_egress *plait_route_egress(const struct plait_route *r)
{
    return r->kind == PLAIT_ROUTE_INTERFACE ? &r->egress : NULL;
}

bool plait_route_refresh(struct plait_route *r)
{
    char owner[IF_NAMESIZE];
    bool up = true;

    if (r->kind != PLAIT_ROUTE_INTERFACE)
        return false;
    up = plait_iface_is_up(r->egress.interface);
    if (up && r->egress.has_address)
        up = plait_iface_of_address((const struct sockaddr *)&r->egress.address, owner) == PLAIT_OK &&
             strcmp(owner, r->egress.interface) == 0;
    if (up == r->up)
        return false;
    r->up = up;
    return true;
}
