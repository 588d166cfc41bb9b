/* The documents in XML and HTML. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "digest.h"
#include "units.h"

#define EXAMINED_MAX 16 /* holders of a stream that are looked at for its line on the page */

/* Text in either language, between tags or within double quotes. */
static void put_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '"')
            fputs("&quot;", out);
        else if (*text == '\'')
            fputs("&#39;", out);
        else
            fputc(*text, out);
    }
}

static char *finish(FILE *out, char **text)
{
    bool failed = ferror(out) != 0;

    if (fclose(out) != 0 || failed) {
        free(*text);
        return NULL;
    }
    return *text;
}

/* Metalink. */

static void put_hash(FILE *out, const char *type, const uint8_t *bytes, size_t len)
{
    char hex[2 * PLAIT_DIGEST_LEN_MAX + 1];

    if (plait_hex_encode(bytes, len, hex, sizeof hex) == PLAIT_OK)
        fprintf(out, "    <hash type=\"%s\">%s</hash>\n", type, hex);
}

static void put_urls(FILE *out, const char *name, const struct plait_version *v)
{
    for (size_t i = 0; i < v->count && i < PLAIT_ANSWER_SOURCES_MAX; i++) {
        char *url = plait_source_url(v->sources[i], name);
        if (url == NULL)
            continue;
        fprintf(out, "    <url priority=\"%zu\">", i + 1);
        put_text(out, url);
        fputs("</url>\n", out);
        free(url);
    }
}

char *plait_answer_metalink(const char *name, const struct plait_version *v)
{
    const char *slash = strrchr(name, '/');
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL)
        return NULL;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n"
          "  <generator>plait/" PLAIT_VERSION "</generator>\n  <file name=\"",
          out);
    put_text(out, slash != NULL ? slash + 1 : name); /* where it is put is up to the client */
    fputs("\">\n", out);
    if (v->has_size)
        fprintf(out, "    <size>%" PRIu64 "</size>\n", v->size);
    if (v->digests.has_sha256)
        put_hash(out, "sha-256", v->digests.sha256, sizeof v->digests.sha256);
    if (v->digests.has_sha512)
        put_hash(out, "sha-512", v->digests.sha512, sizeof v->digests.sha512);
    put_urls(out, name, v);
    fputs("  </file>\n</metalink>\n", out);
    return finish(out, &text);
}

/* The page. */

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta http-equiv=\"refresh\" "
    "content=\"10\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>plait director</title>\n<style>\n"
    "body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; "
    "color: #222; background: #fff }\n"
    "table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .25em .8em .25em "
    "0; "
    "border-bottom: 1px solid #ddd; overflow-wrap: anywhere }\n"
    "td.n, th.n { text-align: right; white-space: nowrap } .good { color: #17692d } .bad { color: #a3161a }\n"
    "@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } "
    "th, td { border-color: #444 } a { color: #8cf } .good { color: #6c6 } .bad { color: #f88 } }\n"
    "</style>\n<h1>plait director</h1>\n";

struct page {
    FILE *out;
    uint64_t now;
    bool relays;
};

static void put_health(const struct page *p, const struct plait_server *s)
{
    uint64_t left = plait_since(s->expires, p->now), ttl = s->reg.ttl_ms * PLAIT_MS;
    bool healthy = plait_server_is_healthy(s, p->now);

    fprintf(p->out, "<td class=\"%s\">%s<td class=\"n\">%.0f s\n", healthy ? "good" : "bad",
            healthy ? "healthy" : "late", plait_to_s(plait_since(ttl, left)));
}

static bool put_server(void *ctx, struct plait_server *s)
{
    struct page *p = ctx;

    if (s->reg.is_relay != p->relays)
        return true;
    fputs("<tr><td>", p->out);
    put_text(p->out, s->id);
    fputs("<td>", p->out);
    put_text(p->out, s->reg.url);
    if (p->relays) {
        fputs("<td>", p->out);
        for (size_t i = 0; i < s->reg.reach_count && i < 20; i++) {
            put_text(p->out, s->reg.reaches[i]);
            fputs(i + 1 < s->reg.reach_count ? ", " : "", p->out);
        }
        fputs(s->reg.reach_count > 20 ? "…" : "", p->out);
    } else {
        fprintf(p->out, "<td class=\"n\">%zu", s->reg.count);
    }
    put_health(p, s);
    return true;
}

static void put_servers(struct page *p, const struct plait_catalog *c, bool relays)
{
    p->relays = relays;
    fprintf(p->out, "<table><tr><th>Name<th>URL<th%s<th>Health<th class=\"n\">Last heard\n",
            relays ? ">Reaches" : " class=\"n\">Streams");
    plait_catalog_each_server(c, put_server, p);
    fputs("</table>\n", p->out);
}

/* Size, versions and holders of a stream. */
static void put_content(const struct page *p, const struct plait_stream *s)
{
    static const struct plait_wish all;
    struct plait_stream some = *s;
    struct plait_versions v;

    some.count = plait_min_u64(s->count, EXAMINED_MAX); /* anybody may ask for the page */
    if (plait_versions_of(&some, &all, 0, p->now, &v) != PLAIT_OK)
        return;
    if (v.count > 0 && v.all[0].has_size)
        fprintf(p->out, "<td class=\"n\">%" PRIu64, v.all[0].size);
    else
        fputs("<td class=\"n\">being written", p->out);
    fprintf(p->out, "<td class=\"n\">%zu", s->count);
    if (v.count > 1)
        fprintf(p->out, "<td class=\"bad\">%zu versions that differ\n", v.count);
    else
        fprintf(p->out, "<td class=\"%s\">%s\n", v.count > 0 && v.all[0].healthy > 0 ? "good" : "bad",
                v.count > 0 && v.all[0].healthy > 0 ? "healthy" : "no healthy holder");
    plait_versions_done(&v);
}

static void put_streams(struct page *p, struct plait_catalog *c, const char *after)
{
    static struct plait_stream *streams[PLAIT_ANSWER_PAGE_STREAMS];
    size_t count = plait_catalog_list(c, after, streams, PLAIT_ANSWER_PAGE_STREAMS);
    char path[PLAIT_STREAM_PATH_MAX];

    fputs("<table><tr><th>Name<th class=\"n\">Bytes<th class=\"n\">Holders<th>Health\n", p->out);
    for (size_t i = 0; i < count; i++) {
        fprintf(p->out, "<tr><td><a href=\"/%s?format=json\">",
                plait_stream_name_encode(streams[i]->name, path));
        put_text(p->out, streams[i]->name);
        fputs("</a>", p->out);
        put_content(p, streams[i]);
    }
    fputs("</table>\n", p->out);
    if (count == PLAIT_ANSWER_PAGE_STREAMS)
        fprintf(p->out, "<p><a href=\"/?after=%s\">more</a>\n",
                plait_stream_name_encode(streams[count - 1]->name, path));
}

char *plait_answer_page(struct plait_catalog *c, const char *after, const char *store, bool store_works,
                        uint64_t now)
{
    struct plait_catalog_counts counts = plait_catalog_counts(c);
    char *text = NULL;
    size_t len;
    struct page p = {.out = open_memstream(&text, &len), .now = now};

    if (p.out == NULL)
        return NULL;
    fputs(head, p.out);
    fprintf(p.out, "<p>%zu servers, %zu relays, %zu streams. Kept in: %s%s.\n", counts.servers, counts.relays,
            counts.streams, store, store_works ? "" : " <strong class=\"bad\">(out of reach)</strong>");
    fputs("<h2>Servers</h2>\n", p.out);
    put_servers(&p, c, false);
    fputs("<h2>Relays</h2>\n", p.out);
    put_servers(&p, c, true);
    fputs("<h2>Streams</h2>\n", p.out);
    put_streams(&p, c, after);
    return finish(p.out, &text);
}
