#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http_impl.h"

static const struct {
    CURLcode code;
    enum plait_http_fail fail;
} sorted[] = {
    {CURLE_COULDNT_RESOLVE_HOST, PLAIT_HTTP_FAIL_NAME},
    {CURLE_COULDNT_RESOLVE_PROXY, PLAIT_HTTP_FAIL_PROXY},
    {CURLE_COULDNT_CONNECT, PLAIT_HTTP_FAIL_CONNECT},
    {CURLE_PEER_FAILED_VERIFICATION, PLAIT_HTTP_FAIL_TLS},
    {CURLE_SSL_CERTPROBLEM, PLAIT_HTTP_FAIL_TLS},
    {CURLE_SSL_CIPHER, PLAIT_HTTP_FAIL_TLS},
    {CURLE_SSL_CACERT_BADFILE, PLAIT_HTTP_FAIL_TLS},
    {CURLE_SSL_ISSUER_ERROR, PLAIT_HTTP_FAIL_TLS},
    {CURLE_TOO_MANY_REDIRECTS, PLAIT_HTTP_FAIL_REDIRECT},
    {CURLE_URL_MALFORMAT, PLAIT_HTTP_FAIL_URL},
    {CURLE_OUT_OF_MEMORY, PLAIT_HTTP_FAIL_LOCAL},
    {CURLE_FAILED_INIT, PLAIT_HTTP_FAIL_LOCAL},
    {CURLE_WEIRD_SERVER_REPLY, PLAIT_HTTP_FAIL_MALFORMED},
    {CURLE_BAD_CONTENT_ENCODING, PLAIT_HTTP_FAIL_MALFORMED},
};

static enum plait_http_fail sort_code(CURLcode code)
{
    for (size_t i = 0; i < sizeof sorted / sizeof sorted[0]; i++)
        if (sorted[i].code == code)
            return sorted[i].fail;
    return PLAIT_HTTP_FAIL_BROKEN;
}

/* A SOCKS proxy's answer: will it never do this, or could it not just now? */
static bool is_socks_refusal(struct plait_http_lane *lane)
{
    long proxy_code = 0;

    curl_easy_getinfo(lane->easy, CURLINFO_PROXY_ERROR, &proxy_code);
    switch ((CURLproxycode)proxy_code) {
    case CURLPX_REPLY_NOT_ALLOWED:
    case CURLPX_REPLY_COMMAND_NOT_SUPPORTED:
    case CURLPX_NO_AUTH:
    case CURLPX_USER_REJECTED:
    case CURLPX_BAD_VERSION:
    case CURLPX_UNKNOWN_MODE:
        return true;
    default:
        return false;
    }
}

/* CONNECT was answered with something other than 2xx: 0 where it was not. */
static enum plait_http_fail sort_connect(struct plait_http_lane *lane)
{
    long status = 0;

    curl_easy_getinfo(lane->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (status < 300)
        return PLAIT_HTTP_OK;
    return status >= 500 || status == 408 || status == 429 ? PLAIT_HTTP_FAIL_PROXY
                                                           : PLAIT_HTTP_FAIL_FORBIDDEN;
}

static bool is_connected(struct plait_http_lane *lane)
{
    curl_off_t pretransfer_us = 0;

    curl_easy_getinfo(lane->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer_us);
    return pretransfer_us > 0;
}

/* Curl has one code for any trouble with TLS; where OpenSSL itself objects, trying again will not help. */
static enum plait_http_fail sort_tls(const struct plait_http_lane *lane)
{
    return strstr(lane->error, "error:") != NULL ? PLAIT_HTTP_FAIL_TLS : PLAIT_HTTP_FAIL_CONNECT;
}

/* No socket at all could be opened; a server may have addresses of a kind that the way out lacks, beside
 * others. */
static bool is_egress(const struct plait_http_lane *lane)
{
    return lane->egress_fail == PLAIT_EGRESS_ASTRAY || (lane->egress_fail != PLAIT_EGRESS_OK && !lane->fresh);
}

static enum plait_http_fail sort(struct plait_http_lane *lane, CURLcode code)
{
    enum plait_http_fail connect = sort_connect(lane);

    switch (code) {
    case CURLE_PROXY:
        return is_socks_refusal(lane) ? PLAIT_HTTP_FAIL_FORBIDDEN : PLAIT_HTTP_FAIL_PROXY;
    case CURLE_SSL_CONNECT_ERROR:
        return sort_tls(lane);
    case CURLE_OPERATION_TIMEDOUT:
        return is_connected(lane) ? PLAIT_HTTP_FAIL_BROKEN : PLAIT_HTTP_FAIL_CONNECT;
    case CURLE_UNSUPPORTED_PROTOCOL:
        /* HTTP/0.9, which anything that speaks looks like; or a scheme that we do not follow */
        return is_connected(lane) && strstr(lane->error, "HTTP/0.9") != NULL ? PLAIT_HTTP_FAIL_MALFORMED
                                                                             : PLAIT_HTTP_FAIL_REDIRECT;
    case CURLE_COULDNT_CONNECT:
    case CURLE_ABORTED_BY_CALLBACK:
        if (is_egress(lane))
            return PLAIT_HTTP_FAIL_EGRESS;
        if (!lane->fresh &&
            (lane->egress_errno == EMFILE || lane->egress_errno == ENFILE || lane->egress_errno == ENOMEM))
            return PLAIT_HTTP_FAIL_LOCAL;
        return lane->proxy != NULL ? PLAIT_HTTP_FAIL_PROXY : PLAIT_HTTP_FAIL_CONNECT;
    default:
        return connect != PLAIT_HTTP_OK && !is_connected(lane) ? connect : sort_code(code);
    }
}

static int errno_of(struct plait_http_lane *lane)
{
    long os_errno = 0;

    if (!lane->fresh && lane->egress_errno != 0)
        return lane->egress_errno;
    curl_easy_getinfo(lane->easy, CURLINFO_OS_ERRNO, &os_errno);
    return (int)os_errno;
}

/* Curl does not always say that it speaks of the proxy. */
static const char *prefix_of(enum plait_http_fail fail)
{
    if (fail == PLAIT_HTTP_FAIL_FORBIDDEN)
        return "the proxy refuses: ";
    return fail == PLAIT_HTTP_FAIL_PROXY ? "by the proxy: " : "";
}

static const char *suffix_of(const struct plait_http_lane *lane, CURLcode code)
{
    if (code == CURLE_SSL_CONNECT_ERROR && strstr(lane->error, "wrong version number") != NULL)
        return " (what answers there does not speak TLS: http:// perhaps)";
    return code == CURLE_PEER_FAILED_VERIFICATION ? " (--cacert names authorities to trust)" : "";
}

void plait_http_explain(struct plait_http_lane *lane, CURLcode code, struct plait_http_end *end,
                        char reason[PLAIT_HTTP_REASON_MAX])
{
    const char *text = lane->error[0] != '\0' ? lane->error : curl_easy_strerror(code);

    end->fail = sort(lane, code);
    end->egress = lane->egress_fail;
    end->os_errno = errno_of(lane);
    if (end->fail == PLAIT_HTTP_FAIL_EGRESS && end->os_errno != 0)
        snprintf(reason, PLAIT_HTTP_REASON_MAX, "%.150s (%.100s)", plait_egress_fail_text(lane->egress_fail),
                 strerror(end->os_errno));
    else if (end->fail == PLAIT_HTTP_FAIL_EGRESS)
        snprintf(reason, PLAIT_HTTP_REASON_MAX, "%s", plait_egress_fail_text(lane->egress_fail));
    else
        snprintf(reason, PLAIT_HTTP_REASON_MAX, "%s%.170s%s", prefix_of(end->fail), text,
                 suffix_of(lane, code));
    for (char *c = reason; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}
