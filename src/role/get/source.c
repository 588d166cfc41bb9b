#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "http_field.h"
#include "url.h"

int plait_source_init(struct plait_source *s, const char *url, enum plait_source_origin origin,
                      unsigned priority)
{
    memset(s, 0, sizeof *s);
    if (strlen(url) > PLAIT_URL_MAX || !plait_url_is_http(url))
        return PLAIT_ERR_FORMAT;
    s->url = strdup(url);
    s->shown = plait_url_public(url);
    s->origin = origin;
    s->priority = priority;
    s->size = UINT64_MAX;
    if (s->url != NULL && s->shown != NULL)
        return PLAIT_OK;
    plait_source_done(s);
    return PLAIT_ERR_NOMEM;
}

void plait_source_done(struct plait_source *s)
{
    free(s->url);
    free(s->shown);
    free(s->redirect);
    memset(s, 0, sizeof *s);
}

const char *plait_source_address(const struct plait_source *s)
{
    return s->redirect != NULL ? s->redirect : s->url;
}

static bool is_strong(const char *etag)
{
    struct plait_etag parsed;

    return etag[0] != '\0' && plait_etag_parse(etag, strlen(etag), &parsed) == PLAIT_OK && !parsed.weak;
}

const char *plait_source_strong_tag(const struct plait_source *s)
{
    return is_strong(s->etag) && !s->etag_differs && !s->live ? s->etag : NULL;
}

const char *plait_source_if_range(const struct plait_source *s)
{
    if (s->live)
        return NULL;
    if (plait_source_strong_tag(s) != NULL)
        return s->etag;
    return s->last_modified[0] != '\0' && s->last_modified_strong ? s->last_modified : NULL;
}

/* Never 0. */
static uint64_t hash(const char *text)
{
    uint64_t h = XXH3_64bits(text, strlen(text));

    return h != 0 ? h : 1;
}

uint64_t plait_source_version(const char *etag, const char *last_modified)
{
    if (is_strong(etag))
        return hash(etag);
    if (last_modified[0] != '\0')
        return hash(last_modified);
    return etag[0] != '\0' ? hash(etag) : 0;
}

static void copy_field(const struct plait_http_head *head, enum plait_http_field field,
                       char out[PLAIT_SOURCE_VALIDATOR_MAX])
{
    size_t len;
    const char *value = plait_http_head_get(head, field, &len);

    snprintf(out, PLAIT_SOURCE_VALIDATOR_MAX, "%s", len < PLAIT_SOURCE_VALIDATOR_MAX ? value : "");
}

/* RFC 9110 section 8.8.2.2: a date is a strong validator when it lies clearly before the answer. */
static bool is_strong_date(const struct plait_http_head *head)
{
    size_t date_len, modified_len;
    const char *date = plait_http_head_get(head, PLAIT_HTTP_DATE, &date_len);
    const char *modified = plait_http_head_get(head, PLAIT_HTTP_LAST_MODIFIED, &modified_len);
    int64_t date_s, modified_s;

    return plait_http_date_parse(date, date_len, &date_s) == PLAIT_OK &&
           plait_http_date_parse(modified, modified_len, &modified_s) == PLAIT_OK && modified_s + 1 <= date_s;
}

/* A weak tag asks for nothing (RFC 9110 section 8.8.1), but another one tells that the content is another. */
static uint64_t version_of(const struct plait_http_head *head, const char *etag, const char *last_modified)
{
    char weak[PLAIT_SOURCE_VALIDATOR_MAX];
    uint64_t version = plait_source_version(etag, last_modified);

    copy_field(head, PLAIT_HTTP_ETAG, weak);
    return version != 0 || weak[0] == '\0' ? version : hash(weak);
}

static void learn(struct plait_source *s, const struct plait_http_head *head, const char *etag,
                  const char *last_modified, uint64_t size)
{
    s->answered = true;
    snprintf(s->etag, sizeof s->etag, "%s", etag);
    snprintf(s->last_modified, sizeof s->last_modified, "%s", last_modified);
    s->last_modified_strong = is_strong_date(head);
    s->version = version_of(head, etag, last_modified);
    s->size = size;
}

/* Another tag for what has the same date and the same size. */
static bool is_other_machine(const struct plait_source *s, const char *last_modified, uint64_t size)
{
    return s->last_modified[0] != '\0' && strcmp(s->last_modified, last_modified) == 0 &&
           (s->size == size || size == UINT64_MAX);
}

bool plait_source_on_live_head(struct plait_source *s, const char *asked, const struct plait_http_head *head,
                               bool live, bool frames, uint64_t *version, bool *strong)
{
    char etag[PLAIT_SOURCE_VALIDATOR_MAX];

    if (!live && !frames) {
        if (s->live) /* closed: now it has its validators */
            s->answered = s->etag_differs = false;
        s->live = false;
        return false;
    }
    if (live)
        s->live = true;
    if (strcmp(head->url, asked) != 0 && s->redirect == NULL && strlen(head->url) <= PLAIT_URL_MAX)
        s->redirect = strdup(head->url);
    copy_field(head, PLAIT_HTTP_ETAG, etag);
    *strong = frames && is_strong(etag);
    *version = *strong ? plait_source_version(etag, "") : 0;
    return true;
}

enum plait_source_judgement plait_source_on_head(struct plait_source *s, const char *asked,
                                                 const struct plait_http_head *head, uint64_t size,
                                                 uint64_t *version, bool *strong)
{
    char etag[PLAIT_SOURCE_VALIDATOR_MAX], last_modified[PLAIT_SOURCE_VALIDATOR_MAX];
    bool redirected = strcmp(head->url, asked) != 0 && !plait_url_same_origin(head->url, asked);

    copy_field(head, PLAIT_HTTP_ETAG, etag);
    copy_field(head, PLAIT_HTTP_LAST_MODIFIED, last_modified);
    if (!s->answered)
        learn(s, head, etag, last_modified, size);
    *version = version_of(head, etag, last_modified);
    *strong = is_strong(etag);
    if (*version != s->version && is_other_machine(s, last_modified, size)) {
        bool news = !s->etag_differs;
        s->etag_differs = true;
        *version = s->version;
        *strong = false;
        if (news && head->status == 200)
            return PLAIT_SOURCE_AGAIN; /* the whole came only because of the other tag */
    }
    if (strcmp(head->url, asked) != 0 && s->redirect == NULL && strlen(head->url) <= PLAIT_URL_MAX)
        s->redirect = strdup(head->url); /* without memory the next request is redirected again */
    else if (redirected && s->redirect != NULL && strcmp(s->redirect, head->url) != 0 &&
             *version != s->version)
        return PLAIT_SOURCE_AGAIN;
    return PLAIT_SOURCE_SAME;
}

bool plait_source_forget_redirect(struct plait_source *s, const char *asked)
{
    if (strcmp(asked, s->url) == 0)
        return false;
    if (s->redirect != NULL && strcmp(s->redirect, asked) == 0) {
        free(s->redirect);
        s->redirect = NULL;
    }
    return true;
}
