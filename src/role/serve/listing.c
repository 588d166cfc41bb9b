#include "listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "digest.h"
#include "target.h"
#include "text.h"

#define TIME_SIZE 32
#define HREF_SIZE (3 * NAME_MAX + 3)

static bool is_served(const struct stat *st)
{
    return S_ISREG(st->st_mode) || S_ISDIR(st->st_mode);
}

/* A symbolic link is looked through, as far as it is allowed to lead. */
static bool look_at(const struct plait_docroot *root, int dir, const char *path, const char *name,
                    struct stat *st)
{
    char full[PATH_MAX];

    if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (!S_ISLNK(st->st_mode))
        return is_served(st);
    int len = snprintf(full, sizeof full, "%s%s%s", path, *path != '\0' ? "/" : "", name);
    return len > 0 && (size_t)len < sizeof full && plait_docroot_stat(root, full, st) == PLAIT_OK &&
           is_served(st);
}

static int add(struct plait_listing *l, size_t *room, const char *name, const struct stat *st)
{
    if (l->count == *room) {
        size_t more = *room > 0 ? *room * 2 : 64;
        struct plait_listing_entry *grown = reallocarray(l->entries, more, sizeof *grown);
        if (grown == NULL)
            return PLAIT_ERR_NOMEM;
        l->entries = grown;
        *room = more;
    }
    struct plait_listing_entry *e = &l->entries[l->count];
    e->name = strdup(name);
    if (e->name == NULL)
        return PLAIT_ERR_NOMEM;
    e->st = *st;
    l->count++;
    return PLAIT_OK;
}

static int by_kind_and_name(const void *a, const void *b)
{
    const struct plait_listing_entry *x = a, *y = b;
    int kinds = S_ISDIR(y->st.st_mode) - S_ISDIR(x->st.st_mode);

    return kinds != 0 ? kinds : strcmp(x->name, y->name);
}

static int read_entries(struct plait_listing *l, const struct plait_docroot *root, DIR *dir, const char *path,
                        bool dotfiles)
{
    size_t room = 0;
    struct stat st;
    int rc = PLAIT_OK;

    for (;;) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (d == NULL)
            return errno == 0 ? PLAIT_OK : PLAIT_ERR_IO;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 || (d->d_name[0] == '.' && !dotfiles))
            continue;
        if (!look_at(root, dirfd(dir), path, d->d_name, &st))
            continue;
        l->truncated = l->count == PLAIT_LISTING_MAX;
        if (l->truncated || (rc = add(l, &room, d->d_name, &st)) != PLAIT_OK)
            return rc;
    }
}

int plait_listing_read(struct plait_listing *l, const struct plait_docroot *root, int fd, const char *path,
                       bool dotfiles)
{
    memset(l, 0, sizeof *l);
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own >= 0 ? fdopendir(own) : NULL;
    if (dir == NULL) {
        if (own >= 0)
            close(own);
        return PLAIT_ERR_IO;
    }
    int rc = read_entries(l, root, dir, path, dotfiles);
    closedir(dir);
    if (rc != PLAIT_OK)
        plait_listing_done(l);
    else if (l->count > 0)
        qsort(l->entries, l->count, sizeof *l->entries, by_kind_and_name);
    return rc;
}

void plait_listing_done(struct plait_listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->entries[i].name);
    free(l->entries);
    memset(l, 0, sizeof *l);
}

static void write_time(const struct stat *st, char out[TIME_SIZE])
{
    struct tm tm;

    out[0] = '\0';
    if (gmtime_r(&st->st_mtim.tv_sec, &tm) != NULL)
        strftime(out, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* The name as a relative reference; a directory's ends in a slash. */
static void write_href(const struct plait_listing_entry *e, char out[HREF_SIZE])
{
    char name[HREF_SIZE - 1];

    if (plait_target_encode(e->name, name, sizeof name) != PLAIT_OK)
        name[0] = '\0';
    snprintf(out, HREF_SIZE, "%s%s", name, S_ISDIR(e->st.st_mode) ? "/" : "");
}

/*
 * As text: what of the bytes is UTF-8, and U+FFFD for the rest and for control characters. `put` gets each
 * character.
 */
static void each_character(const char *s, void (*put)(FILE *f, const char *at, size_t len), FILE *f)
{
    struct plait_text t = plait_text_of(s, strlen(s));

    while (t.len > 0) {
        const char *at = t.at;
        uint32_t c;
        if (!plait_text_take_utf8(&t, &c)) {
            plait_text_skip(&t, 1);
            c = 0;
        }
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            put(f, "\xef\xbf\xbd", 3);
        else
            put(f, at, (size_t)(t.at - at));
    }
}

static void put_html(FILE *f, const char *at, size_t len)
{
    switch (*at) {
    case '&':
        fputs("&amp;", f);
        break;
    case '<':
        fputs("&lt;", f);
        break;
    case '>':
        fputs("&gt;", f);
        break;
    case '"':
        fputs("&quot;", f);
        break;
    case '\'':
        fputs("&#39;", f);
        break;
    default:
        fwrite(at, 1, len, f);
    }
}

static void put_plain(FILE *f, const char *at, size_t len)
{
    fwrite(at, 1, len, f);
}

static void put_row(FILE *f, const struct plait_listing_entry *e)
{
    char href[HREF_SIZE], when[TIME_SIZE];
    bool dir = S_ISDIR(e->st.st_mode);

    write_href(e, href);
    write_time(&e->st, when);
    fprintf(f, "<tr><td><a href=\"./%s\">", href);
    each_character(e->name, put_html, f);
    fprintf(f, "%s</a><td>", dir ? "/" : "");
    if (!dir)
        fprintf(f, "%" PRIu64, (uint64_t)e->st.st_size);
    fprintf(f, "<td>%.10s %.5s\n", when, when[0] != '\0' ? when + 11 : "");
}

static void put_page(FILE *f, const struct plait_listing *l, const char *path)
{
    fputs("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n<title>/",
          f);
    each_character(path, put_html, f);
    fputs("</title>\n<style>\n"
          ":root{color-scheme:light dark}\n"
          "body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}\n"
          "table{border-collapse:collapse;width:100%}\n"
          "th,td{padding:.15rem .75rem .15rem 0;text-align:left;overflow-wrap:anywhere}\n"
          "td:nth-child(n+2),th:nth-child(n+2){text-align:right;white-space:nowrap;font-variant-numeric:"
          "tabular-nums}\n"
          "</style>\n<h1>/",
          f);
    each_character(path, put_html, f);
    fputs("</h1>\n<table>\n<tr><th>Name<th>Bytes<th>Changed (UTC)\n", f);
    if (*path != '\0')
        fputs("<tr><td><a href=\"../\">../</a><td><td>\n", f);
    for (size_t i = 0; i < l->count; i++)
        put_row(f, &l->entries[i]);
    fputs("</table>\n", f);
    if (l->truncated)
        fprintf(f, "<p>Only %d entries are shown.\n", PLAIT_LISTING_MAX);
}

/* What was written, unless memory ran out. */
static int finish(FILE *f, char **made, char **text)
{
    bool bad = ferror(f) != 0;

    if (fclose(f) != 0 || bad) {
        free(*made);
        return PLAIT_ERR_NOMEM;
    }
    *text = *made;
    return PLAIT_OK;
}

int plait_listing_html(const struct plait_listing *l, const char *path, char **text, size_t *len)
{
    char *made = NULL;
    FILE *f = open_memstream(&made, len);

    if (f == NULL)
        return PLAIT_ERR_NOMEM;
    put_page(f, l, path);
    return finish(f, &made, text);
}

/* A JSON string of both, whatever bytes they hold, or NULL. */
static json_t *string_of(const char *before, const char *s)
{
    char *made = NULL;
    size_t len;
    FILE *f = open_memstream(&made, &len);

    if (f == NULL)
        return NULL;
    fputs(before, f);
    each_character(s, put_plain, f);
    if (finish(f, &made, &made) != PLAIT_OK)
        return NULL;
    json_t *string = json_stringn(made, len);
    free(made);
    return string;
}

static json_t *entry_of(const struct plait_listing_entry *e, struct plait_digest_cache *digests)
{
    char href[HREF_SIZE], when[TIME_SIZE], hex[2 * PLAIT_SHA256_LEN + 1];
    uint8_t sha256[PLAIT_SHA256_LEN];
    bool dir = S_ISDIR(e->st.st_mode);

    write_href(e, href);
    write_time(&e->st, when);
    json_t *o = json_pack("{s:o, s:s, s:s, s:s}", "name", string_of("", e->name), "href", href, "type",
                          dir ? "directory" : "file", "modified", when);
    if (o == NULL || dir)
        return o;
    int bad = json_object_set_new(o, "size", json_integer((json_int_t)e->st.st_size));
    if (bad == 0 && digests != NULL && plait_digest_cache_find(digests, &e->st, sha256) &&
        plait_hex_encode(sha256, sizeof sha256, hex, sizeof hex) == PLAIT_OK)
        bad = json_object_set_new(o, "sha-256", json_string(hex));
    if (bad == 0)
        return o;
    json_decref(o);
    return NULL;
}

int plait_listing_json(const struct plait_listing *l, const char *path, struct plait_digest_cache *digests,
                       char **text, size_t *len)
{
    json_t *entries = json_array();
    int bad = entries == NULL;

    for (size_t i = 0; bad == 0 && i < l->count; i++)
        bad = json_array_append_new(entries, entry_of(&l->entries[i], digests));
    if (bad != 0) {
        json_decref(entries);
        return PLAIT_ERR_NOMEM;
    }
    json_t *whole = json_pack("{s:o, s:b, s:o}", "path", string_of("/", path), "truncated", l->truncated,
                              "entries", entries);
    char *made = whole != NULL ? json_dumps(whole, JSON_INDENT(1)) : NULL;
    json_decref(whole);
    if (made == NULL)
        return PLAIT_ERR_NOMEM;
    *text = made;
    *len = strlen(made);
    return PLAIT_OK;
}
