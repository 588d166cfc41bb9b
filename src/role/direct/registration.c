#include "registration.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "stream_name.h"
#include "text.h"

/* Judging before jansson takes memory: it takes some 30 to 300 bytes for each value, and a call for each depth. */

struct scan {
    size_t values;
    unsigned depth, deepest;
    bool in_string;
};

/* Counts what begins a value: every comma, colon, bracket and brace does, apart from the first. */
static void scan_char(struct scan *s, const char *text, size_t *i)
{
    char c = text[*i];

    if (s->in_string) {
        if (c == '\\')
            ++*i; /* whatever it is, it does not end the string */
        else if (c == '"')
            s->in_string = false;
        return;
    }
    if (c == '"')
        s->in_string = true;
    else if (c == ',' || c == ':')
        s->values++;
    else if (c == '{' || c == '[')
        s->values++, s->depth++;
    else if ((c == '}' || c == ']') && s->depth > 0)
        s->depth--;
    if (s->depth > s->deepest)
        s->deepest = s->depth;
}

static bool is_bearable(const char *text, size_t len)
{
    struct scan s = {0};

    for (size_t i = 0; i < len; i++)
        scan_char(&s, text, &i);
    return s.values <= PLAIT_REGISTRATION_VALUES_MAX && s.deepest <= PLAIT_REGISTRATION_DEPTH_MAX;
}

static int fault_of(char fault[PLAIT_FAULT_MAX], int err, const char *format, ...) PLAIT_PRINTF(3, 4);

static int fault_of(char fault[PLAIT_FAULT_MAX], int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(fault, PLAIT_FAULT_MAX, format, args);
    va_end(args);
    return err;
}

/* The document's object: the caller's to free. */
static int parse(const char *text, size_t len, json_t **out, char fault[PLAIT_FAULT_MAX])
{
    json_error_t error;

    if (len > PLAIT_REGISTRATION_BYTES_MAX || !is_bearable(text, len))
        return fault_of(fault, PLAIT_ERR_LIMIT, "too long, too deep or too many values");
    json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (o == NULL)
        return fault_of(fault, PLAIT_ERR_FORMAT, "not JSON: %.120s (line %d)", error.text, error.line);
    if (!json_is_object(o)) {
        json_decref(o);
        return fault_of(fault, PLAIT_ERR_FORMAT, "not an object");
    }
    *out = o;
    return PLAIT_OK;
}

/* Values. Absent is NULL or JSON's null. */

static bool is_absent(const json_t *v)
{
    return v == NULL || json_is_null(v);
}

static int take_digest(const json_t *o, const char *name, uint8_t *bytes, size_t len, bool *has)
{
    const json_t *v = json_object_get(o, name);

    if (is_absent(v))
        return PLAIT_OK;
    if (!json_is_string(v) ||
        plait_hex_decode(json_string_value(v), json_string_length(v), bytes, len) != PLAIT_OK)
        return PLAIT_ERR_FORMAT;
    *has = true;
    return PLAIT_OK;
}

static int take_digests(const json_t *o, struct plait_digests *out)
{
    if (is_absent(o))
        return PLAIT_OK;
    if (!json_is_object(o) ||
        take_digest(o, "sha-256", out->sha256, sizeof out->sha256, &out->has_sha256) != PLAIT_OK)
        return PLAIT_ERR_FORMAT;
    return take_digest(o, "sha-512", out->sha512, sizeof out->sha512, &out->has_sha512);
}

/* A name that is shown to people, cut. */
static const char *shown(const char *name, char out[64])
{
    snprintf(out, 64, "%.60s", name);
    return out;
}

/* What is taken belongs to the entry even if it fails. */
static int take_entry(const json_t *o, struct plait_entry *e, char fault[PLAIT_FAULT_MAX])
{
    const json_t *name = json_object_get(o, "name"), *size = json_object_get(o, "size");
    char words[64];

    if (!json_is_string(name) ||
        !plait_stream_name_is_good(json_string_value(name), json_string_length(name)))
        return fault_of(fault, PLAIT_ERR_FORMAT, "a stream has no name that can be: %s",
                        json_is_string(name) ? shown(json_string_value(name), words) : "none");
    shown(json_string_value(name), words);
    if (!is_absent(size)) {
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return fault_of(fault, PLAIT_ERR_RANGE, "%s: its size is not a number of bytes", words);
        e->has_size = true;
        e->size = (uint64_t)json_integer_value(size);
    }
    if (take_digests(json_object_get(o, "digests"), &e->digests) != PLAIT_OK)
        return fault_of(fault, PLAIT_ERR_FORMAT, "%s: a digest is not that many hexadecimal digits", words);
    e->name = strdup(json_string_value(name));
    return e->name != NULL ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

static void free_entries(struct plait_entry *entries, size_t count)
{
    for (size_t i = 0; entries != NULL && i < count; i++)
        free(entries[i].name);
    free(entries);
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; texts != NULL && i < count; i++)
        free(texts[i]);
    free(texts);
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct plait_entry *)a)->name, ((const struct plait_entry *)b)->name);
}

static int sort_entries(struct plait_entry *entries, size_t count, char fault[PLAIT_FAULT_MAX])
{
    char words[64];

    qsort(entries, count, sizeof *entries, compare_entries);
    for (size_t i = 1; i < count; i++)
        if (strcmp(entries[i - 1].name, entries[i].name) == 0)
            return fault_of(fault, PLAIT_ERR_FORMAT, "%s: is there twice", shown(entries[i].name, words));
    return PLAIT_OK;
}

/* An array of streams, or nothing. */
static int take_entries(const json_t *array, struct plait_entry **out, size_t *count,
                        char fault[PLAIT_FAULT_MAX])
{
    size_t total = json_array_size(array), i = 0;
    int err = PLAIT_OK;

    if (!is_absent(array) && !json_is_array(array))
        return fault_of(fault, PLAIT_ERR_FORMAT, "streams are not in an array");
    if (total > PLAIT_REGISTRATION_ENTRIES_MAX)
        return fault_of(fault, PLAIT_ERR_LIMIT, "more than %u streams", PLAIT_REGISTRATION_ENTRIES_MAX);
    struct plait_entry *entries = calloc(total + 1, sizeof *entries);
    if (entries == NULL)
        return PLAIT_ERR_NOMEM;
    for (; err == PLAIT_OK && i < total; i++)
        err = take_entry(json_array_get(array, i), &entries[i], fault);
    if (err == PLAIT_OK)
        err = sort_entries(entries, total, fault);
    if (err != PLAIT_OK) {
        free_entries(entries, total);
        return err;
    }
    *out = entries;
    *count = total;
    return PLAIT_OK;
}

/* An array of texts that `is_good` likes, or nothing. */
static int take_texts(const json_t *array, size_t most, bool (*is_good)(const char *s, size_t len),
                      char ***out, size_t *count, char fault[PLAIT_FAULT_MAX])
{
    size_t total = json_array_size(array);

    if (!is_absent(array) && !json_is_array(array))
        return fault_of(fault, PLAIT_ERR_FORMAT, "names or destinations are not in an array");
    if (total > most)
        return fault_of(fault, PLAIT_ERR_LIMIT, "more than %zu names or destinations", most);
    char **texts = calloc(total + 1, sizeof *texts);
    if (texts == NULL)
        return PLAIT_ERR_NOMEM;
    for (size_t i = 0; i < total; i++) {
        const json_t *v = json_array_get(array, i);
        bool good = json_is_string(v) && is_good(json_string_value(v), json_string_length(v));
        if (good && (texts[i] = strdup(json_string_value(v))) != NULL)
            continue;
        free_texts(texts, total);
        return good ? PLAIT_ERR_NOMEM : fault_of(fault, PLAIT_ERR_FORMAT, "a name or destination cannot be");
    }
    *out = texts;
    *count = total;
    return PLAIT_OK;
}

static bool is_reach(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] <= ' ' || s[i] >= 0x7f || s[i] == '"' || s[i] == '<' || s[i] == '>' || s[i] == '\\')
            return false;
    return len > 0 && len <= PLAIT_REGISTRATION_REACH_MAX;
}

static bool begins_with(const char *text, const char *scheme)
{
    return strncasecmp(text, scheme, strlen(scheme)) == 0;
}

/* With a host, without user, query and fragment: names are appended to it. */
static bool is_base_url(const char *s, size_t len)
{
    size_t scheme = begins_with(s, "http://") ? 7 : begins_with(s, "https://") ? 8 : 0;

    return scheme > 0 && len > scheme && len <= PLAIT_REGISTRATION_URL_MAX &&
           plait_text_is_url(plait_text_of(s, len)) && strpbrk(s, "@?#'") == NULL && s[scheme] != '/' &&
           s[scheme] != ':';
}

static int take_url(const json_t *v, struct plait_registration *r, char fault[PLAIT_FAULT_MAX])
{
    size_t len = json_string_length(v);

    if (!json_is_string(v) || !is_base_url(json_string_value(v), len))
        return fault_of(fault, PLAIT_ERR_FORMAT,
                        "url: not one of http or https with a host, and without user, query and fragment");
    r->url = malloc(len + 2);
    if (r->url == NULL)
        return PLAIT_ERR_NOMEM;
    bool slash = !r->is_relay && json_string_value(v)[len - 1] != '/';
    snprintf(r->url, len + 2, "%s%s", json_string_value(v), slash ? "/" : "");
    return PLAIT_OK;
}

static int take_ttl(const json_t *v, struct plait_registration *r, char fault[PLAIT_FAULT_MAX])
{
    json_int_t ms = json_integer_value(v);

    r->ttl_ms = PLAIT_REGISTRATION_TTL_MS;
    if (is_absent(v))
        return PLAIT_OK;
    if (!json_is_integer(v) || ms < 1)
        return fault_of(fault, PLAIT_ERR_RANGE, "ttl_ms: not a number of milliseconds");
    r->ttl_ms = ms < (json_int_t)PLAIT_REGISTRATION_TTL_MS_MIN   ? PLAIT_REGISTRATION_TTL_MS_MIN
                : ms > (json_int_t)PLAIT_REGISTRATION_TTL_MS_MAX ? PLAIT_REGISTRATION_TTL_MS_MAX
                                                                 : (unsigned)ms;
    return PLAIT_OK;
}

static int take_kind(const json_t *v, struct plait_registration *r, char fault[PLAIT_FAULT_MAX])
{
    const char *kind = is_absent(v) ? "server" : json_string_value(v);

    if (kind == NULL || (strcmp(kind, "server") != 0 && strcmp(kind, "relay") != 0))
        return fault_of(fault, PLAIT_ERR_FORMAT, "kind: neither server nor relay");
    r->is_relay = strcmp(kind, "relay") == 0;
    return PLAIT_OK;
}

static int take_relay(const json_t *o, struct plait_registration *r, char fault[PLAIT_FAULT_MAX])
{
    const json_t *auth = json_object_get(o, "auth");

    if (!is_absent(auth) && (!json_is_string(auth) || strcmp(json_string_value(auth), "basic") != 0))
        return fault_of(fault, PLAIT_ERR_FORMAT, "auth: neither basic nor null");
    r->asks_credentials = !is_absent(auth);
    return take_texts(json_object_get(o, "reaches"), PLAIT_REGISTRATION_REACHES_MAX, is_reach, &r->reaches,
                      &r->reach_count, fault);
}

static int take_owner(const json_t *v, struct plait_registration *r, char fault[PLAIT_FAULT_MAX])
{
    if (!json_is_string(v) || json_string_length(v) >= sizeof r->owner)
        return fault_of(fault, PLAIT_ERR_FORMAT, "owner: is missing");
    snprintf(r->owner, sizeof r->owner, "%s", json_string_value(v));
    return PLAIT_OK;
}

static int take_registration(const json_t *o, bool stored, struct plait_registration *r,
                             char fault[PLAIT_FAULT_MAX])
{
    int err = take_kind(json_object_get(o, "kind"), r, fault);

    if (err == PLAIT_OK && stored)
        err = take_owner(json_object_get(o, "owner"), r, fault);
    if (err == PLAIT_OK)
        err = take_url(json_object_get(o, "url"), r, fault);
    if (err == PLAIT_OK)
        err = take_ttl(json_object_get(o, "ttl_ms"), r, fault);
    if (err != PLAIT_OK)
        return err;
    return r->is_relay ? take_relay(o, r, fault)
                       : take_entries(json_object_get(o, "streams"), &r->entries, &r->count, fault);
}

int plait_registration_decode(const char *text, size_t len, bool stored, struct plait_registration *out,
                              char fault[PLAIT_FAULT_MAX])
{
    struct plait_registration r = {0};
    json_t *o = NULL;

    fault[0] = '\0';
    int err = parse(text, len, &o, fault);
    if (err != PLAIT_OK)
        return err;
    err = take_registration(o, stored, &r, fault);
    json_decref(o);
    if (err == PLAIT_OK)
        *out = r;
    else
        plait_registration_done(&r);
    return err;
}

void plait_registration_done(struct plait_registration *r)
{
    free(r->url);
    free_entries(r->entries, r->count);
    free_texts(r->reaches, r->reach_count);
    memset(r, 0, sizeof *r);
}

static json_t *hex_json(const uint8_t *bytes, size_t len)
{
    char hex[2 * PLAIT_DIGEST_LEN_MAX + 1];

    return plait_hex_encode(bytes, len, hex, sizeof hex) == PLAIT_OK ? json_string(hex) : NULL;
}

/* NULL where memory lacks for any part of it: half an entry would be another one. */
static json_t *entry_json(const struct plait_entry *e)
{
    json_t *o = json_pack("{s:s}", "name", e->name), *digests = json_object();
    bool bad = false;

    if (e->has_size)
        bad |= json_object_set_new(o, "size", json_integer((json_int_t)e->size)) != 0;
    if (e->digests.has_sha256)
        bad |= json_object_set_new(digests, "sha-256",
                                   hex_json(e->digests.sha256, sizeof e->digests.sha256)) != 0;
    if (e->digests.has_sha512)
        bad |= json_object_set_new(digests, "sha-512",
                                   hex_json(e->digests.sha512, sizeof e->digests.sha512)) != 0;
    bad |= json_object_set_new(o, "digests", digests) != 0;
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

char *plait_registration_encode(const struct plait_registration *r)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "kind", r->is_relay ? "relay" : "server", "owner", r->owner,
                          "url", r->url, "ttl_ms", (json_int_t)r->ttl_ms);
    json_t *list = json_array();
    bool bad = false;

    for (size_t i = 0; i < r->count && !bad; i++)
        bad = json_array_append_new(list, entry_json(&r->entries[i])) != 0;
    for (size_t i = 0; i < r->reach_count && !bad; i++)
        bad = json_array_append_new(list, json_string(r->reaches[i])) != 0;
    bad |= json_object_set_new(o, r->is_relay ? "reaches" : "streams", list) != 0;
    if (r->asks_credentials)
        bad |= json_object_set_new(o, "auth", json_string("basic")) != 0;
    char *text = bad ? NULL : json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

/* Changes. */

int plait_change_decode(const char *text, size_t len, struct plait_change *out, char fault[PLAIT_FAULT_MAX])
{
    struct plait_change c = {0};
    json_t *o = NULL;

    fault[0] = '\0';
    int err = parse(text, len, &o, fault);
    if (err != PLAIT_OK)
        return err;
    err = take_entries(json_object_get(o, "add"), &c.add, &c.add_count, fault);
    if (err == PLAIT_OK)
        err = take_texts(json_object_get(o, "remove"), PLAIT_REGISTRATION_ENTRIES_MAX,
                         plait_stream_name_is_good, &c.remove, &c.remove_count, fault);
    json_decref(o);
    if (err == PLAIT_OK)
        *out = c;
    else
        plait_change_done(&c);
    return err;
}

void plait_change_done(struct plait_change *c)
{
    free_entries(c->add, c->add_count);
    free_texts(c->remove, c->remove_count);
    memset(c, 0, sizeof *c);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int copy_entry(const struct plait_entry *e, struct plait_registration *out)
{
    struct plait_entry *copy = &out->entries[out->count];

    *copy = *e;
    copy->name = strdup(e->name);
    if (copy->name == NULL)
        return PLAIT_ERR_NOMEM;
    out->count++;
    return PLAIT_OK;
}

/* Both lists are sorted; what is added wins over what is there, and over its removal. */
static int merge(const struct plait_registration *r, const struct plait_change *c,
                 struct plait_registration *out)
{
    size_t i = 0, j = 0;
    int err = PLAIT_OK;

    while (err == PLAIT_OK && (i < r->count || j < c->add_count)) {
        int order = i == r->count ? 1 : j == c->add_count ? -1 : compare_entries(&r->entries[i], &c->add[j]);
        if (order < 0) {
            const char *name = r->entries[i].name;
            if (bsearch(&name, c->remove, c->remove_count, sizeof *c->remove, compare_texts) == NULL)
                err = copy_entry(&r->entries[i], out);
            i++;
            continue;
        }
        err = copy_entry(&c->add[j++], out);
        i += order == 0;
    }
    return err;
}

int plait_registration_change(const struct plait_registration *r, const struct plait_change *c,
                              struct plait_registration *out)
{
    struct plait_registration n = *r;
    int err = PLAIT_ERR_NOMEM;

    n.reaches = NULL; /* only servers have streams to change */
    n.reach_count = n.count = 0;
    n.url = strdup(r->url);
    n.entries = calloc(r->count + c->add_count + 1, sizeof *n.entries);
    if (c->remove_count > 0)
        qsort(c->remove, c->remove_count, sizeof *c->remove, compare_texts);
    if (n.url != NULL && n.entries != NULL)
        err = merge(r, c, &n);
    if (err == PLAIT_OK && n.count > PLAIT_REGISTRATION_ENTRIES_MAX)
        err = PLAIT_ERR_LIMIT;
    if (err == PLAIT_OK)
        *out = n;
    else
        plait_registration_done(&n);
    return err;
}

const struct plait_entry *plait_registration_find(const struct plait_registration *r, const char *name)
{
    struct plait_entry probe = {.name = (char *)name};

    return r->count > 0 ? bsearch(&probe, r->entries, r->count, sizeof probe, compare_entries) : NULL;
}

bool plait_entry_same(const struct plait_entry *a, const struct plait_entry *b)
{
    return a->has_size == b->has_size && a->size == b->size &&
           memcmp(&a->digests, &b->digests, sizeof a->digests) == 0;
}

bool plait_digests_contradict(const struct plait_digests *a, const struct plait_digests *b)
{
    return (a->has_sha256 && b->has_sha256 && memcmp(a->sha256, b->sha256, sizeof a->sha256) != 0) ||
           (a->has_sha512 && b->has_sha512 && memcmp(a->sha512, b->sha512, sizeof a->sha512) != 0);
}

bool plait_digests_agree(const struct plait_digests *a, const struct plait_digests *b)
{
    return !plait_digests_contradict(a, b) &&
           ((a->has_sha256 && b->has_sha256) || (a->has_sha512 && b->has_sha512));
}
