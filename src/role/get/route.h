/*
 * A route: a way out of this machine, as `--via` names it.
 */
#ifndef PLAIT_GET_ROUTE_H
#define PLAIT_GET_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "egress.h"
#include "err.h"

#define PLAIT_ROUTES_MAX 64

enum plait_route_kind {
    PLAIT_ROUTE_DEFAULT,   /* as the system routes, and proxies as the environment says */
    PLAIT_ROUTE_INTERFACE, /* out of `egress` */
    PLAIT_ROUTE_PROXY,     /* through `proxy` */
};

struct plait_route {
    enum plait_route_kind kind;
    char *name;  /* as given; without user and password for a proxy */
    char *proxy; /* with them */
    struct plait_egress egress;
    bool tunnel; /* proxy: serves nothing but CONNECT */
    bool up;     /* interface: there, and running */
};

struct plait_routes {
    struct plait_route list[PLAIT_ROUTES_MAX];
    size_t count;
};

#define PLAIT_ROUTE_ERROR_MAX 256

/*
 * Adds what one --via says; "all" adds every interface with a default route. A route that is there already is
 * not added again. PLAIT_ERR_NOTFOUND where this machine has no such interface or address, PLAIT_ERR_FORMAT
 * for what is no route at all, PLAIT_ERR_LIMIT, PLAIT_ERR_NOMEM, PLAIT_ERR_IO; `why` then tells people.
 */
PLAIT_MUST_USE int plait_routes_add(struct plait_routes *r, const char *text,
                                    char why[PLAIT_ROUTE_ERROR_MAX]);
/* The one route of those who name none. */
PLAIT_MUST_USE int plait_routes_add_default(struct plait_routes *r);
void plait_routes_done(struct plait_routes *r);

const struct plait_egress *plait_route_egress(const struct plait_route *r);
/* Looks at the interface again. True where `up` has changed. */
bool plait_route_refresh(struct plait_route *r);

#endif
