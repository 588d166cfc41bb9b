#include "url.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static CURLU *parse(const char *url)
{
    CURLU *u = curl_url();

    if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
        return u;
    curl_url_cleanup(u);
    return NULL;
}

/* A part as a copy of our own, so that everybody frees with free(). */
static char *part_of(CURLU *u, CURLUPart part, unsigned flags)
{
    char *text = NULL, *copy;

    if (u == NULL || curl_url_get(u, part, &text, flags) != CURLUE_OK)
        return NULL;
    copy = strdup(text);
    curl_free(text);
    return copy;
}

static char *part_of_url(const char *url, CURLUPart part, unsigned flags)
{
    CURLU *u = parse(url);
    char *text = part_of(u, part, flags);

    curl_url_cleanup(u);
    return text;
}

static bool has_scheme(const char *url, const char *scheme)
{
    char *own = part_of_url(url, CURLUPART_SCHEME, 0);
    bool same = own != NULL && strcasecmp(own, scheme) == 0;

    free(own);
    return same;
}

int plait_url_port(const char *url)
{
    char *text = part_of_url(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    int port = text != NULL ? atoi(text) : -1;

    free(text);
    return port;
}

bool plait_url_is_https(const char *url)
{
    return has_scheme(url, "https");
}

bool plait_url_is_http(const char *url)
{
    return has_scheme(url, "http") || has_scheme(url, "https");
}

char *plait_url_resolve(const char *base, const char *reference)
{
    CURLU *u = parse(base);
    char *text = NULL;

    if (u != NULL && curl_url_set(u, CURLUPART_URL, reference, 0) == CURLUE_OK)
        text = part_of(u, CURLUPART_URL, 0);
    curl_url_cleanup(u);
    if (text != NULL && !plait_url_is_http(text)) {
        free(text);
        text = NULL;
    }
    return text;
}

char *plait_url_public(const char *url)
{
    CURLU *u = parse(url);
    char *text = NULL;

    if (u != NULL && curl_url_set(u, CURLUPART_USER, NULL, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_PASSWORD, NULL, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK)
        text = part_of(u, CURLUPART_URL, 0);
    curl_url_cleanup(u);
    return text;
}

char *plait_url_host(const char *url)
{
    return part_of_url(url, CURLUPART_HOST, 0);
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    char *x = part_of(a, part, CURLU_DEFAULT_PORT), *y = part_of(b, part, CURLU_DEFAULT_PORT);
    bool same = x != NULL && y != NULL && strcasecmp(x, y) == 0;

    free(x);
    free(y);
    return same;
}

bool plait_url_same_origin(const char *a, const char *b)
{
    CURLU *x = parse(a), *y = parse(b);
    bool same = x != NULL && y != NULL && same_part(x, y, CURLUPART_SCHEME) &&
                same_part(x, y, CURLUPART_HOST) && same_part(x, y, CURLUPART_PORT);

    curl_url_cleanup(x);
    curl_url_cleanup(y);
    return same;
}

bool plait_url_path_ends(const char *url, const char *suffix)
{
    char *path = part_of_url(url, CURLUPART_PATH, 0);
    size_t len = path != NULL ? strlen(path) : 0, suffix_len = strlen(suffix);
    bool ends = path != NULL && len >= suffix_len && strcasecmp(path + len - suffix_len, suffix) == 0;

    free(path);
    return ends;
}
