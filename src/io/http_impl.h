/*
 * What http.c (the client: descriptors, timers, the rate) and http_lane.c (requests and their responses)
 * share.
 */
#ifndef PLAIT_IO_HTTP_IMPL_H
#define PLAIT_IO_HTTP_IMPL_H

#include <curl/curl.h>

#include "bucket.h"
#include "http.h"

#define PLAIT_HTTP_LANE_FDS 4

struct plait_http_sock;

struct plait_http {
    struct plait_http_config config;
    CURLM *multi;
    struct plait_timer timer;                   /* curl's */
    struct plait_timer refill;                  /* until bytes may flow again */
    struct plait_http_sock *socks;              /* list of those that are watched */
    struct plait_http_lane *lanes, **lanes_end; /* list of all */
    size_t lane_count;
    struct plait_bucket bucket;
    size_t taken;   /* bytes, since curl was last called */
    bool throttled; /* no lane takes anything until `refill` fires */
};

struct plait_http_lane {
    struct plait_http *http;              /* borrows */
    struct plait_http_lane *next, **link; /* in http->lanes */
    const struct plait_http_events *events;
    void *ctx;
    const struct plait_egress *egress;
    const char *proxy;
    CURL *easy;
    CURLSH *share; /* the lane's own connection cache; NULL = none yet */
    struct curl_slist *headers;
    int fds[PLAIT_HTTP_LANE_FDS]; /* opened last, newest at (fd_count − 1) % FDS */
    unsigned fd_count;
    bool busy;
    bool fresh;   /* a new connection is being made */
    bool told;    /* `head` was called */
    bool dropped; /* a callback said no: no `end` */
    bool held;    /* has bytes, but they have to wait */
    enum plait_egress_fail egress_fail;
    int egress_errno;
    char error[CURL_ERROR_SIZE];
    struct plait_http_head head;
};

/* Puts the lane at the end of the list; takes it out. */
void plait_http_list(struct plait_http_lane *lane);
void plait_http_unlist(struct plait_http_lane *lane);
/* A new socket has this number: whatever was watched under it is gone. */
void plait_http_forget_fd(struct plait_http *h, int fd);
/* Whether the next bytes of a body have to wait. */
bool plait_http_must_hold(const struct plait_http *h);
/* A body's bytes have been taken. */
void plait_http_count(struct plait_http *h, size_t bytes);
/* Curl is through with the lane's request. */
void plait_http_lane_finish(struct plait_http_lane *lane, CURLcode code);
/* Sorts curl's result; writes a reason for people into `reason`. */
void plait_http_explain(struct plait_http_lane *lane, CURLcode code, struct plait_http_end *end,
                        char reason[PLAIT_HTTP_REASON_MAX]);

#endif
