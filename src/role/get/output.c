/*
 * The output: its name, its sink, and what an earlier run left under that name.
 *
 * With -o the name is known from the beginning. Without, it is the first good answer's to propose one; only
 * when a journal lies beside the name that the URL proposes, and it is of that URL, is that taken at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "get_int.h"
#include "units.h"

static void on_emitted(void *ctx, uint64_t offset)
{
    struct plait_get *g = ctx;

    g->emitted = offset;
    if (g->fetch != NULL)
        plait_fetch_on_emitted(g->fetch, g->loop.now, offset);
}

static void on_finished(void *ctx)
{
    struct plait_get *g = ctx;

    if (g->stage != STAGE_STORE)
        return;
    if (g->sink->in_order)
        get_judge_pipe(g);
    get_end(g, PLAIT_GET_DONE, "%s", "");
}

static void on_failed(void *ctx)
{
    struct plait_get *g = ctx;

    g->sink_failed = true;
    if (g->sink->in_order && g->sink->os_errno == EPIPE)
        get_end(g, PLAIT_GET_FAILED, "%s", ""); /* whoever reads has had enough */
    else
        get_end(g, PLAIT_GET_LOCAL, "%s", g->sink->error);
}

static const struct plait_sink_events sink_events = {on_emitted, on_finished, on_failed};

static void set_name(struct plait_get *g, const char *name)
{
    free(g->name);
    g->name = strdup(name);
    get_tell(g, PLAIT_GET_EV_OUTPUT, -1, 0, name);
}

/* ---- in order ---- */

static void open_pipe(struct plait_get *g, int fd, const char *name)
{
    uint64_t buffer = g->opt->buffer_bytes > 0 ? g->opt->buffer_bytes : 64 * PLAIT_MIB;

    buffer = plait_clamp_u64(buffer, PLAIT_GET_BUFFER_MIN, PLAIT_GET_BUFFER_MAX);
    set_name(g, name);
    g->sink = plait_sink_pipe_open(&g->loop, fd, name, buffer, &sink_events, g, &g->window_bytes);
    if (g->sink == NULL)
        get_end(g, PLAIT_GET_LOCAL, "there is not enough memory for the buffer; use a smaller --buffer");
    else
        get_begin_fetch(g);
}

/* A device, a FIFO: nothing that could be renamed or gone back in. */
static bool is_special(const char *name)
{
    struct stat st;

    return stat(name, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static void open_special(struct plait_get *g, const char *name)
{
    g->opened_fd = open(name, O_WRONLY | O_CLOEXEC);
    if (g->opened_fd < 0)
        get_end(g, PLAIT_GET_LOCAL, "%s cannot be opened: %s; choose another with -o", name, strerror(errno));
    else
        open_pipe(g, g->opened_fd, name);
}

/* ---- what was left ---- */

/* Whether the journal speaks of one of our sources. */
static bool is_ours(const struct plait_get *g, const struct plait_journal *j)
{
    for (size_t k = 0; k < j->source_count; k++)
        for (int i = 0; i < g->source_count; i++)
            if (strcmp(j->sources[k].url, g->sources[i].shown) == 0)
                return true;
    return false;
}

static void on_left_read(void *ctx)
{
    struct plait_get *g = ctx;

    if (g->stage != STAGE_CHECK)
        return;
    g->resume_used = g->resume.good_bytes > 0;
    g->resumed_bytes = g->resume.good_bytes;
    if (g->resume_used) {
        get_tell(g, PLAIT_GET_EV_RESUMED, -1, g->resumed_bytes, g->name);
        if (g->resume.journal.header.total == PLAIT_JOURNAL_TOTAL_UNKNOWN)
            get_say(g, PLAIT_GET_NOTE, "%s: going on after %.1f MB", g->name, (double)g->resumed_bytes / 1e6);
        else
            get_say(g, PLAIT_GET_NOTE, "%s: going on with %.1f of %.1f MB", g->name,
                    (double)g->resumed_bytes / 1e6, (double)g->resume.journal.header.total / 1e6);
    } else if (plait_sink_file_clear(g->sink) != PLAIT_OK) {
        get_end(g, PLAIT_GET_LOCAL, "%s", g->sink->error);
        return;
    }
    get_begin_fetch(g);
}

void get_check_left(struct plait_get *g)
{
    g->name_found = false;
    g->stage = STAGE_CHECK;
    plait_resume_start(&g->resume, &g->loop, g->sink->fd, on_left_read, g);
}

void get_start_anew(struct plait_get *g)
{
    get_say(g, PLAIT_GET_WARNING, "%s is begun anew: %s", g->name, g->restart);
    get_tell(g, PLAIT_GET_EV_RESTART, -1, 0, g->restart);
    g->restart = NULL;
    g->resume_used = g->confirmed = false;
    g->resumed_bytes = 0;
    if (g->resume_loaded)
        plait_resume_done(&g->resume);
    g->resume_loaded = false;
    for (int i = 0; i < g->source_count; i++) {
        struct plait_source *s = &g->sources[i];
        s->answered = s->etag_differs = false;
        s->etag[0] = s->last_modified[0] = '\0';
        s->version = 0;
    }
    if (plait_sink_file_clear(g->sink) != PLAIT_OK)
        get_end(g, PLAIT_GET_LOCAL, "%s", g->sink->error);
    else
        get_begin_fetch(g);
}

/* Sources are expected to be as the journal remembers them. */
static void remember_sources(struct plait_get *g)
{
    const struct plait_journal *j = &g->resume.journal;

    for (size_t k = 0; k < j->source_count; k++) {
        for (int i = 0; i < g->source_count; i++) {
            struct plait_source *s = &g->sources[i];
            if (strcmp(j->sources[k].url, s->shown) != 0 || strlen(j->sources[k].etag) >= sizeof s->etag ||
                strlen(j->sources[k].last_modified) >= sizeof s->last_modified)
                continue;
            s->answered = true;
            snprintf(s->etag, sizeof s->etag, "%s", j->sources[k].etag);
            snprintf(s->last_modified, sizeof s->last_modified, "%s", j->sources[k].last_modified);
            s->last_modified_strong = false; /* when it was said is not known any more */
            s->version = plait_source_version(s->etag, s->last_modified);
            s->size = j->header.total;
        }
    }
}

/* True: there is something of an earlier run, and it is now to be read. */
static bool find_left(struct plait_get *g, uint64_t left)
{
    char why[PLAIT_RESUME_WHY_MAX] = "it has no journal";
    int err = plait_resume_load(&g->resume, plait_sink_file_journal(g->sink), &g->digest, why);

    g->resume_loaded = err == PLAIT_OK;
    if (g->resume_loaded && g->known_size != PLAIT_FETCH_UNKNOWN &&
        g->resume.journal.header.total != g->known_size) {
        snprintf(why, sizeof why, "its size is now stated otherwise");
        plait_resume_done(&g->resume);
        g->resume_loaded = false;
    }
    if (g->resume_loaded) {
        if (g->resume.journal.header.total != PLAIT_JOURNAL_TOTAL_UNKNOWN)
            remember_sources(g);
        return true;
    }
    if (err == PLAIT_ERR_NOMEM)
        get_end(g, PLAIT_GET_FAILED, "out of memory");
    else if ((left > 0 || err == PLAIT_ERR_FORMAT) && plait_sink_file_clear(g->sink) != PLAIT_OK)
        get_end(g, PLAIT_GET_LOCAL, "%s", g->sink->error);
    else if (left > 0 || err == PLAIT_ERR_FORMAT)
        get_say(g, PLAIT_GET_WARNING, "%s: what an earlier run left cannot be used (%s); begun anew", g->name,
                why);
    return false;
}

/* ---- a file ---- */

/* Opens the file of that name. False: the run ends. *found: something is there to go on with. */
static bool open_file(struct plait_get *g, const char *name, bool *found)
{
    char error[PLAIT_SINK_ERROR_MAX];
    uint64_t left = 0;

    *found = false;
    g->sink = plait_sink_file_open(&g->loop, name, g->opt->force, &sink_events, g, &left, error);
    if (g->sink == NULL) {
        get_end(g, PLAIT_GET_LOCAL, "%s", error);
        return false;
    }
    set_name(g, name);
    *found = find_left(g, left);
    return !g->ending;
}

static void open_named(struct plait_get *g, const char *name)
{
    bool found;

    if (!open_file(g, name, &found))
        return;
    if (found)
        get_check_left(g);
    else
        get_begin_fetch(g);
}

static bool name_of_url(const struct plait_get *g, char name[PLAIT_NAME_MAX + 1])
{
    const char *url = g->source_count > 0 ? g->sources[0].shown : "";

    if (plait_url_name(url, strlen(url), name, PLAIT_NAME_MAX + 1) == PLAIT_OK)
        return true;
    snprintf(name, PLAIT_NAME_MAX + 1, "index.html");
    return false;
}

/* An earlier run was stopped under the name that the URL proposes. */
static bool was_left_under(const struct plait_get *g, const char *name)
{
    struct plait_resume left;
    char path[PLAIT_NAME_MAX + 32], why[PLAIT_RESUME_WHY_MAX];
    bool ours;

    snprintf(path, sizeof path, "%s.plait-journal", name);
    if (plait_resume_load(&left, path, &g->digest, why) != PLAIT_OK)
        return false;
    ours = is_ours(g, &left.journal);
    plait_resume_done(&left);
    return ours;
}

static void open_in_directory(struct plait_get *g, const char *directory)
{
    char name[PLAIT_NAME_MAX + 1], *path = NULL;

    if (g->proposed_name != NULL)
        snprintf(name, sizeof name, "%s", g->proposed_name);
    else
        (void)name_of_url(g, name);
    size_t len = strlen(directory);
    if (asprintf(&path, "%s%s%s", directory, len > 0 && directory[len - 1] == '/' ? "" : "/", name) < 0) {
        get_end(g, PLAIT_GET_FAILED, "out of memory");
        return;
    }
    open_named(g, path);
    free(path);
}

static bool is_directory(const char *name)
{
    struct stat st;

    return stat(name, &st) == 0 && S_ISDIR(st.st_mode);
}

void get_open_output(struct plait_get *g)
{
    const char *output = g->opt->output;
    char name[PLAIT_NAME_MAX + 1];

    if (output == NULL && g->proposed_name != NULL)
        open_named(g, g->proposed_name);
    else if (output == NULL && name_of_url(g, name) && was_left_under(g, name))
        open_named(g, name);
    else if (output == NULL)
        get_begin_fetch(g);
    else if (strcmp(output, "-") == 0)
        open_pipe(g, STDOUT_FILENO, "standard output");
    else if (is_special(output))
        open_special(g, output);
    else if (is_directory(output))
        open_in_directory(g, output);
    else
        open_named(g, output);
}

void get_close_output(struct plait_get *g, bool keep)
{
    if (g->sink != NULL)
        g->sink->ops->free(g->sink, keep);
    g->sink = NULL;
    if (g->opened_fd >= 0)
        close(g->opened_fd);
    g->opened_fd = -1;
}

bool get_name_output(struct plait_get *g, const struct plait_http_head *head)
{
    char name[PLAIT_NAME_MAX + 1];
    size_t len;
    const char *disposition = plait_http_head_get(head, PLAIT_HTTP_CONTENT_DISPOSITION, &len);

    if (g->sink != NULL)
        return true;
    if (len == 0 || plait_content_disposition_name(disposition, len, name, sizeof name) != PLAIT_OK)
        (void)name_of_url(g, name);
    if (!open_file(g, name, &g->name_found))
        return false;
    return !g->name_found;
}
