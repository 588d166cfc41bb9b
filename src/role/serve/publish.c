#include "publish.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contents.h"
#include "lan_answer.h"
#include "registrar.h"
#include "stream_name.h"
#include "url.h"

struct plait_publish {
    struct plait_publish_options o;
    struct plait_contents *contents;
    struct plait_registrar *registrar;
    struct plait_lan_answer *lan;
};

static PLAIT_PRINTF(3, 4) void say(const struct plait_publish *p, enum plait_serve_level level,
                                   const char *format, ...)
{
    char text[1024];
    va_list args;

    if (p->o.listener->say == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    p->o.listener->say(p->o.listener->ctx, level, text);
}

static void on_registrar(void *ctx, bool bad, const char *text)
{
    say(ctx, bad ? PLAIT_SERVE_WARNING : PLAIT_SERVE_NOTE, "%s", text);
}

static void on_warning(void *ctx, const char *text)
{
    say(ctx, PLAIT_SERVE_WARNING, "%s", text);
}

static void on_contents(void *ctx, const struct plait_registrar_stream *streams, size_t count)
{
    const struct plait_publish *p = ctx;

    if (plait_registrar_set_streams(p->registrar, streams, count) != PLAIT_OK)
        say(p, PLAIT_SERVE_WARNING, "no memory to tell the director what is served");
}

bool plait_publish_is_wanted(const struct plait_serve_options *o)
{
    return o->director_count > 0 || o->answer_lan;
}

/* Where we are, as others see it. */

static bool is_every_address(const char *text)
{
    return strncmp(text, "0.0.0.0:", 8) == 0 || strncmp(text, "[::]:", 5) == 0;
}

static int make_url(const struct plait_publish *p, char *out, size_t size)
{
    const struct plait_serve_options *o = p->o.serve;

    if (o->url != NULL) {
        snprintf(out, size, "%s", o->url);
        return PLAIT_OK;
    }
    if (p->o.endpoint_count == 0 || is_every_address(p->o.endpoints[0].text)) {
        say(p, PLAIT_SERVE_ERROR,
            "--director needs --url URL, where clients reach this server: it listens on every address");
        return PLAIT_ERR_FORMAT;
    }
    snprintf(out, size, "%s://%s/", o->tls_cert != NULL ? "https" : "http", p->o.endpoints[0].text);
    return PLAIT_OK;
}

/* `serve-HOST-PORT`, of what an id may have. */
static void make_id(const struct plait_publish *p, char out[PLAIT_SERVER_ID_MAX + 1])
{
    char host[64] = "";

    gethostname(host, sizeof host - 1);
    snprintf(out, PLAIT_SERVER_ID_MAX + 1, "serve-%s-%u", host,
             p->o.endpoint_count > 0 ? (unsigned)p->o.endpoints[0].port : 0u);
    for (char *c = out; *c != '\0'; c++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-", *c) == NULL)
            *c = '-';
}

static int check_options(const struct plait_publish *p)
{
    const struct plait_serve_options *o = p->o.serve;

    if (o->url != NULL && (!plait_url_is_http(o->url) || strpbrk(o->url, "?#") != NULL)) {
        say(p, PLAIT_SERVE_ERROR, "--url %s: a URL of http or https is needed, without query", o->url);
        return PLAIT_ERR_FORMAT;
    }
    for (size_t i = 0; i < o->director_count; i++) {
        if (!plait_url_is_http(o->directors[i])) {
            say(p, PLAIT_SERVE_ERROR, "--director %s: a URL of http or https is needed", o->directors[i]);
            return PLAIT_ERR_FORMAT;
        }
    }
    if (o->name != NULL && !plait_server_id_is_good(o->name)) {
        say(p, PLAIT_SERVE_ERROR, "--name %s: letters, digits, . _ ~ - only, %d at most", o->name,
            PLAIT_SERVER_ID_MAX);
        return PLAIT_ERR_FORMAT;
    }
    if (o->director_count > 0 && p->o.secret == NULL && o->cert_file == NULL) {
        say(p, PLAIT_SERVE_ERROR, "--director needs --secret-file FILE, or --cert FILE and --key FILE");
        return PLAIT_ERR_FORMAT;
    }
    return PLAIT_OK;
}

static int start_registrar(struct plait_publish *p)
{
    const struct plait_serve_options *o = p->o.serve;
    char id[PLAIT_SERVER_ID_MAX + 1], url[1024];

    make_id(p, id);
    int rc = make_url(p, url, sizeof url);
    if (rc != PLAIT_OK)
        return rc;
    const struct plait_registrar_config config = {.directors = o->directors,
                                                  .director_count = o->director_count,
                                                  .id = o->name != NULL ? o->name : id,
                                                  .url = url,
                                                  .secret = p->o.secret,
                                                  .cert_file = o->cert_file,
                                                  .key_file = o->key_file,
                                                  .ca_file = o->ca_file,
                                                  .agent = "plait-serve/" PLAIT_VERSION,
                                                  .ttl_ms = o->ttl_ms,
                                                  .say = on_registrar,
                                                  .ctx = p};
    p->registrar = plait_registrar_new(&config);
    if (p->registrar != NULL)
        return PLAIT_OK;
    say(p, PLAIT_SERVE_ERROR, "cannot register: out of memory or threads, or too many directors");
    return PLAIT_ERR_IO;
}

static int start_contents(struct plait_publish *p)
{
    const struct plait_contents_options options = {.root = p->o.root,
                                                   .digests = p->o.digests,
                                                   .changed = p->registrar != NULL ? on_contents : NULL,
                                                   .warn = on_warning,
                                                   .ctx = p};
    int rc = plait_contents_new(&p->contents, &options);

    if (rc != PLAIT_OK)
        say(p, PLAIT_SERVE_ERROR, "cannot watch %s: %s", p->o.serve->dir, strerror(errno));
    return rc;
}

static int start_lan(struct plait_publish *p)
{
    const struct plait_lan_answer_options options = {.loop = p->o.loop,
                                                     .contents = p->contents,
                                                     .url = p->o.serve->url,
                                                     .tls = p->o.serve->tls_cert != NULL,
                                                     .endpoints = p->o.endpoints,
                                                     .endpoint_count = p->o.endpoint_count};
    int rc = plait_lan_answer_new(&p->lan, &options);

    if (rc != PLAIT_OK)
        say(p, PLAIT_SERVE_ERROR, "cannot listen for questions on the local network: %s", strerror(errno));
    return rc;
}

int plait_publish_new(struct plait_publish **out, const struct plait_publish_options *options)
{
    struct plait_publish *p = calloc(1, sizeof *p);

    if (p == NULL)
        return PLAIT_ERR_NOMEM;
    p->o = *options;
    *out = p;
    int rc = check_options(p);
    if (rc == PLAIT_OK && options->serve->director_count > 0)
        rc = start_registrar(p);
    if (rc == PLAIT_OK)
        rc = start_contents(p);
    if (rc == PLAIT_OK && options->serve->answer_lan)
        rc = start_lan(p);
    return rc;
}

struct plait_contents *plait_publish_contents(const struct plait_publish *p)
{
    return p->contents;
}

void plait_publish_refresh(struct plait_publish *p)
{
    if (p != NULL)
        plait_lan_answer_refresh(p->lan);
}

void plait_publish_leave(struct plait_publish *p)
{
    if (p == NULL)
        return;
    plait_lan_answer_close(p->lan);
    if (p->registrar != NULL)
        plait_registrar_leave(p->registrar);
}

bool plait_publish_free(struct plait_publish *p)
{
    if (p == NULL)
        return true;
    plait_contents_free(p->contents);
    bool ended = plait_registrar_free(p->registrar);
    plait_lan_answer_free(p->lan);
    free(p);
    return ended;
}
