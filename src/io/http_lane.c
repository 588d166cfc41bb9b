/*
 * A lane's request, from its URL to the end of the response.
 *
 * Theory of operation. The easy handle lives as long as the lane, and so does its own connection cache (a
 * share of one). Sockets are made in open_socket, where an egress binds them; the numbers of the last few are
 * remembered, and before_request looks for the one that curl is about to use among them: a connection that
 * this lane did not open would have left by somebody else's way. Header lines are gathered from each status
 * line on; at the blank line the response's head is complete, and unless it is one that curl will pass over
 * (1xx, a redirect) it is told.
 */
#include "http_impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tcp.h"
#include "units.h"

static const struct {
    const char *name;
    bool list; /* may be sent in several lines */
} field_names[PLAIT_HTTP_FIELDS] = {
    [PLAIT_HTTP_ETAG] = {"etag", false},
    [PLAIT_HTTP_LAST_MODIFIED] = {"last-modified", false},
    [PLAIT_HTTP_DATE] = {"date", false},
    [PLAIT_HTTP_CONTENT_RANGE] = {"content-range", false},
    [PLAIT_HTTP_CONTENT_LENGTH] = {"content-length", false},
    [PLAIT_HTTP_CONTENT_TYPE] = {"content-type", false},
    [PLAIT_HTTP_CONTENT_ENCODING] = {"content-encoding", true},
    [PLAIT_HTTP_TRANSFER_ENCODING] = {"transfer-encoding", true},
    [PLAIT_HTTP_CONTENT_DISPOSITION] = {"content-disposition", false},
    [PLAIT_HTTP_RETRY_AFTER] = {"retry-after", false},
    [PLAIT_HTTP_DIGEST] = {"digest", true},
    [PLAIT_HTTP_REPR_DIGEST] = {"repr-digest", true},
    [PLAIT_HTTP_LINK] = {"link", true},
    [PLAIT_HTTP_PLAIT] = {"plait", false},
    [PLAIT_HTTP_PLAIT_BLOCK] = {"plait-block", false},
    [PLAIT_HTTP_PLAIT_SIZE] = {"plait-size", false},
    [PLAIT_HTTP_PLAIT_AT] = {"plait-at", false},
    [PLAIT_HTTP_PLAIT_LIVE] = {"plait-live", false},
};

const char *plait_http_head_get(const struct plait_http_head *head, enum plait_http_field field, size_t *len)
{
    bool there = head->fields[field].len > 0 && !head->fields[field].spoilt;

    *len = there ? head->fields[field].len : 0;
    return there ? head->text + head->fields[field].at : "";
}

static bool has_control(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
            return true;
    return false;
}

/* Puts `prefix` (what was there before) and `value` into the head's text, terminated. */
static bool keep_text(struct plait_http_head *head, enum plait_http_field field, const char *value,
                      size_t len)
{
    size_t old = head->fields[field].len, at = head->used, need = old + (old > 0 ? 2 : 0) + len + 1;
    char *to = head->text + at;

    if (need > sizeof head->text - at)
        return false;
    if (old > 0) {
        memcpy(to, head->text + head->fields[field].at, old);
        memcpy(to + old, ", ", 2);
        to += old + 2;
    }
    memcpy(to, value, len);
    to[len] = '\0';
    head->fields[field].at = at;
    head->fields[field].len = need - 1;
    head->used += need;
    return true;
}

static void keep_field(struct plait_http_head *head, enum plait_http_field field, const char *value,
                       size_t len)
{
    const char *old = head->text + head->fields[field].at;
    size_t old_len = head->fields[field].len;

    if (len == 0 && old_len == 0)
        return;
    if (old_len > 0 && !field_names[field].list) {
        if (old_len != len || memcmp(old, value, len) != 0)
            head->fields[field].spoilt = true;
        return;
    }
    if (has_control(value, len) || !keep_text(head, field, value, len))
        head->fields[field].spoilt = true;
}

static void keep_line(struct plait_http_head *head, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len), *value;
    size_t name_len, value_len;

    if (colon == NULL)
        return;
    name_len = (size_t)(colon - line);
    value = colon + 1;
    value_len = len - name_len - 1;
    for (; value_len > 0 && (*value == ' ' || *value == '\t'); value_len--)
        value++;
    while (value_len > 0 && strchr(" \t\r\n", value[value_len - 1]) != NULL)
        value_len--;
    for (int i = 0; i < PLAIT_HTTP_FIELDS; i++)
        if (strlen(field_names[i].name) == name_len && strncasecmp(field_names[i].name, line, name_len) == 0)
            keep_field(head, (enum plait_http_field)i, value, value_len);
}

static void begin_head(struct plait_http_head *head)
{
    head->status = 0;
    head->url = "";
    head->used = 0;
    memset(head->fields, 0, sizeof head->fields);
}

/* Tells the head once. False: the request is to be dropped. */
static bool tell_head(struct plait_http_lane *lane)
{
    char *url = NULL;
    long status = 0;

    if (lane->told)
        return true;
    lane->told = true;
    curl_easy_getinfo(lane->easy, CURLINFO_EFFECTIVE_URL, &url);
    curl_easy_getinfo(lane->easy, CURLINFO_RESPONSE_CODE, &status);
    lane->head.url = url != NULL ? url : "";
    lane->head.status = (int)status;
    lane->dropped = !lane->events->head(lane->ctx, &lane->head);
    return !lane->dropped;
}

/* Heads that curl passes over are told only if a body comes after all, or the end. */
static bool is_passed_over(struct plait_http_lane *lane)
{
    long status = 0;

    curl_easy_getinfo(lane->easy, CURLINFO_RESPONSE_CODE, &status);
    return status < 200 || (status >= 300 && status < 400);
}

static size_t on_header(char *line, size_t size, size_t count, void *userp)
{
    struct plait_http_lane *lane = userp;
    size_t len = size * count;

    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
        begin_head(&lane->head);
    else if (len > 0 && (line[0] == '\r' || line[0] == '\n'))
        return is_passed_over(lane) || tell_head(lane) ? len : 0;
    else
        keep_line(&lane->head, line, len);
    return len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *userp)
{
    struct plait_http_lane *lane = userp;
    size_t len = size * count;

    if (!tell_head(lane) || len == 0)
        return 0;
    if (plait_http_must_hold(lane->http)) {
        lane->held = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    plait_loop_touch(lane->http->config.loop);
    switch (lane->events->data(lane->ctx, (const uint8_t *)bytes, len)) {
    case PLAIT_HTTP_TAKEN:
        plait_http_count(lane->http, len);
        return len;
    case PLAIT_HTTP_LATER:
        return CURL_WRITEFUNC_PAUSE;
    case PLAIT_HTTP_DROP:
        break;
    }
    lane->dropped = true;
    return 0;
}

/* With a limit a large receive window would only move the burst from here into the kernel. */
static void bound_window(const struct plait_http_lane *lane, int fd)
{
    double rate = lane->http->config.rate;
    int bytes = (int)plait_clamp_u64((uint64_t)rate, 32 * PLAIT_KIB, 4 * PLAIT_MIB);

    if (rate > 0 && rate < 4e6)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static curl_socket_t open_socket(void *userp, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct plait_http_lane *lane = userp;
    int fd;

    (void)purpose;
    if (lane->egress != NULL)
        fd = plait_egress_open(lane->egress, address->socktype, address->protocol, &address->addr,
                               &lane->egress_fail);
    else
        fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) {
        lane->egress_errno = errno;
        return CURL_SOCKET_BAD;
    }
    bound_window(lane, fd);
    plait_http_forget_fd(lane->http, fd);
    lane->fds[lane->fd_count++ % PLAIT_HTTP_LANE_FDS] = fd;
    lane->fresh = true;
    return fd;
}

static int port_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return address->ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)address)->sin_port) : -1;
}

/* Which of the sockets opened last has this local end, or −1. */
static int find_fd(const struct plait_http_lane *lane, const char *local_ip, int local_port)
{
    char text[PLAIT_ADDRESS_TEXT_MAX];
    unsigned known = lane->fd_count < PLAIT_HTTP_LANE_FDS ? lane->fd_count : PLAIT_HTTP_LANE_FDS;

    for (unsigned i = 1; i <= known; i++) {
        int fd = lane->fds[(lane->fd_count - i) % PLAIT_HTTP_LANE_FDS];
        struct sockaddr_storage local = {0};
        socklen_t len = sizeof local;
        if (getsockname(fd, (struct sockaddr *)&local, &len) == 0 && port_of(&local) == local_port &&
            strcmp(plait_address_text((struct sockaddr *)&local, text), local_ip) == 0)
            return fd;
    }
    return -1;
}

/* Of a URL, written out or usual for its scheme; −1 where there is none. */
static int port_of_url(const char *url)
{
    CURLU *u = curl_url();
    char *text = NULL;
    int port = -1;

    if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT) == CURLUE_OK)
        port = atoi(text);
    curl_free(text);
    curl_url_cleanup(u);
    return port;
}

/* A handshake with a proxy says nothing of the way to the server. The environment may name one, too. */
static bool is_by_proxy(const struct plait_http_lane *lane, int remote_port)
{
    char *url = NULL;

    if (lane->proxy != NULL)
        return true;
    curl_easy_getinfo(lane->easy, CURLINFO_EFFECTIVE_URL, &url);
    return url == NULL || port_of_url(url) != remote_port;
}

/* The connection stands, the request has not been sent: the last moment to see where it would go. */
static int before_request(void *userp, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct plait_http_lane *lane = userp;
    int fd = find_fd(lane, local_ip, local_port);

    (void)remote_ip;
    if (fd < 0 || (lane->egress != NULL && plait_egress_verify(lane->egress, fd) != PLAIT_EGRESS_OK)) {
        lane->egress_fail = PLAIT_EGRESS_ASTRAY;
        return CURL_PREREQFUNC_ABORT;
    }
    if (!lane->fresh)
        return CURL_PREREQFUNC_OK;
    lane->fresh = false;
    struct plait_http_connected connected = {is_by_proxy(lane, remote_port) ? 0 : plait_tcp_rtt_ns(fd),
                                             local_ip};
    lane->dropped = lane->events->connected != NULL && !lane->events->connected(lane->ctx, &connected);
    return lane->dropped ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void set_fixed_options(struct plait_http_lane *lane)
{
    const struct plait_http_config *config = &lane->http->config;
    CURL *easy = lane->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, (void *)lane);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, lane->error);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* never wait for a resolver that hangs */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)PLAIT_HTTP_REDIRECTS_MAX);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)config->buffer_bytes);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)config->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, config->agent);
    curl_easy_setopt(easy, CURLOPT_NETRC,
                     config->netrc ? (long)CURL_NETRC_OPTIONAL : (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, config->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, config->insecure ? 0L : 2L);
}

/* One file of authorities and no directory of them: then curl reads it once for all lanes. */
static void set_authorities(struct plait_http_lane *lane)
{
    const char *given = lane->http->config.ca_file, *usual = curl_version_info(CURLVERSION_NOW)->cainfo;

    if (given != NULL) {
        curl_easy_setopt(lane->easy, CURLOPT_CAINFO, given);
        curl_easy_setopt(lane->easy, CURLOPT_PROXY_CAINFO, given);
    } else if (usual == NULL || access(usual, R_OK) != 0) {
        return;
    }
    curl_easy_setopt(lane->easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(lane->easy, CURLOPT_PROXY_CAPATH, NULL);
}

static void set_callbacks(struct plait_http_lane *lane)
{
    CURL *easy = lane->easy;

    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, lane);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, lane);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, lane);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, lane);
    if (lane->proxy != NULL) {
        curl_easy_setopt(easy, CURLOPT_PROXY, lane->proxy);
        /* Otherwise no_proxy in the environment would silently lead around it. */
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    }
}

struct plait_http_lane *plait_http_lane_new(struct plait_http *h, const struct plait_http_events *events,
                                            void *ctx, const struct plait_egress *egress, const char *proxy)
{
    struct plait_http_lane *lane = calloc(1, sizeof *lane);

    if (lane == NULL)
        return NULL;
    lane->http = h;
    lane->events = events;
    lane->ctx = ctx;
    lane->egress = egress;
    lane->proxy = proxy;
    lane->easy = curl_easy_init();
    if (lane->easy == NULL) {
        free(lane);
        return NULL;
    }
    plait_http_list(lane);
    set_fixed_options(lane);
    set_authorities(lane);
    set_callbacks(lane);
    return lane;
}

/* The lane's own cache of connections. TLS sessions come with it, so that a connection that broke is soon
 * back. */
static bool ensure_share(struct plait_http_lane *lane)
{
    if (lane->share != NULL)
        return true;
    lane->share = curl_share_init();
    if (lane->share == NULL)
        return false;
    if (curl_share_setopt(lane->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) != CURLSHE_OK ||
        curl_share_setopt(lane->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK ||
        curl_easy_setopt(lane->easy, CURLOPT_SHARE, lane->share) != CURLE_OK) {
        curl_share_cleanup(lane->share);
        lane->share = NULL;
    }
    return lane->share != NULL;
}

static bool add_header(struct plait_http_lane *lane, const char *line)
{
    struct curl_slist *longer = curl_slist_append(lane->headers, line);

    if (longer != NULL)
        lane->headers = longer;
    return longer != NULL;
}

static bool set_headers(struct plait_http_lane *lane, const struct plait_http_request *request)
{
    char line[1200];
    bool ok = add_header(lane, "Accept-Encoding: identity");

    for (size_t i = 0; ok && i < request->header_count; i++)
        ok = add_header(lane, request->headers[i]);
    if (ok && request->if_range != NULL && request->lo != PLAIT_HTTP_NO_RANGE) {
        int len = snprintf(line, sizeof line, "If-Range: %s", request->if_range);
        if (len > 0 && (size_t)len < sizeof line)
            ok = add_header(lane, line);
    }
    return ok && curl_easy_setopt(lane->easy, CURLOPT_HTTPHEADER, lane->headers) == CURLE_OK;
}

static bool set_range(struct plait_http_lane *lane, const struct plait_http_request *request)
{
    char range[48];

    if (request->lo == PLAIT_HTTP_NO_RANGE)
        return curl_easy_setopt(lane->easy, CURLOPT_RANGE, NULL) == CURLE_OK;
    if (request->hi == PLAIT_HTTP_NO_RANGE)
        snprintf(range, sizeof range, "%llu-", (unsigned long long)request->lo);
    else
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)request->lo,
                 (unsigned long long)request->hi - 1);
    return curl_easy_setopt(lane->easy, CURLOPT_RANGE, range) == CURLE_OK;
}

static bool set_method(struct plait_http_lane *lane, const struct plait_http_request *request)
{
    curl_easy_setopt(lane->easy, CURLOPT_HTTPPROXYTUNNEL, request->tunnel ? 1L : 0L);
    if (!request->post)
        return curl_easy_setopt(lane->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    return add_header(lane, "Content-Type:") && curl_easy_setopt(lane->easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(lane->easy, CURLOPT_POSTFIELDS, "") == CURLE_OK &&
           curl_easy_setopt(lane->easy, CURLOPT_POSTFIELDSIZE, 0L) == CURLE_OK;
}

static void forget_request(struct plait_http_lane *lane)
{
    curl_easy_setopt(lane->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(lane->headers);
    lane->headers = NULL;
}

int plait_http_lane_get(struct plait_http_lane *lane, const struct plait_http_request *request)
{
    if (lane->busy)
        return PLAIT_ERR_STATE;
    forget_request(lane);
    begin_head(&lane->head);
    lane->told = lane->dropped = lane->fresh = lane->held = false;
    lane->egress_fail = PLAIT_EGRESS_OK;
    lane->egress_errno = 0;
    lane->error[0] = '\0';
    if (!ensure_share(lane) || !set_method(lane, request) || !set_headers(lane, request) ||
        !set_range(lane, request) || curl_easy_setopt(lane->easy, CURLOPT_URL, request->url) != CURLE_OK ||
        curl_easy_setopt(lane->easy, CURLOPT_USERPWD, request->user) != CURLE_OK ||
        curl_multi_add_handle(lane->http->multi, lane->easy) != CURLM_OK)
        return PLAIT_ERR_NOMEM;
    lane->busy = true;
    return PLAIT_OK;
}

bool plait_http_lane_is_busy(const struct plait_http_lane *lane)
{
    return lane->busy;
}

static void drop_connections(struct plait_http_lane *lane)
{
    if (lane->share == NULL)
        return;
    curl_easy_setopt(lane->easy, CURLOPT_SHARE, NULL);
    curl_share_cleanup(lane->share);
    lane->share = NULL;
}

void plait_http_lane_drop(struct plait_http_lane *lane)
{
    if (lane->busy)
        curl_multi_remove_handle(lane->http->multi, lane->easy);
    lane->busy = false;
    drop_connections(lane);
}

void plait_http_lane_resume(struct plait_http_lane *lane)
{
    if (!lane->busy)
        return;
    curl_easy_pause(lane->easy, CURLPAUSE_CONT);
    if (lane->dropped)
        plait_http_lane_drop(lane);
}

void plait_http_lane_free(struct plait_http_lane *lane)
{
    if (lane == NULL)
        return;
    plait_http_lane_drop(lane);
    plait_http_unlist(lane);
    forget_request(lane);
    curl_easy_cleanup(lane->easy);
    free(lane);
}

void plait_http_lane_finish(struct plait_http_lane *lane, CURLcode code)
{
    char reason[PLAIT_HTTP_REASON_MAX] = "";
    struct plait_http_end end = {PLAIT_HTTP_OK, PLAIT_EGRESS_OK, 0, reason};

    if (code == CURLE_OK && !lane->dropped)
        (void)tell_head(lane); /* a head without a body that was passed over, such as 304 */
    curl_multi_remove_handle(lane->http->multi, lane->easy);
    lane->busy = false;
    if (lane->dropped || lane->egress_fail == PLAIT_EGRESS_ASTRAY)
        drop_connections(lane);
    if (lane->dropped)
        return;
    if (code != CURLE_OK)
        plait_http_explain(lane, code, &end, reason);
    lane->events->end(lane->ctx, &end);
}
