/*
 * A stream that is named without a server: those of a list are asked for it, or the local network.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "get_int.h"
#include "stream_name.h"
#include "url.h"

#define LIST_BYTES_MAX ((size_t)1024 * 1024)

/* `base` with the stream's name behind it; NULL where memory lacks. */
static char *url_at(const char *base, const char *name)
{
    char path[PLAIT_STREAM_PATH_MAX], *url = NULL;
    size_t len = strlen(base);

    plait_stream_name_encode(name, path);
    if (asprintf(&url, "%s%s%s", base, len > 0 && base[len - 1] == '/' ? "" : "/", path) < 0)
        return NULL;
    return url;
}

static void add_server(struct plait_get *g, char *line, const char *name, unsigned priority)
{
    line += strspn(line, " \t\r");
    line[strcspn(line, " \t\r#")] = '\0';
    if (line[0] == '\0')
        return;
    char *url = url_at(line, name);
    if (url == NULL || !plait_url_is_http(url))
        get_say(g, PLAIT_GET_WARNING, "%.200s in %s is no URL of a server; it is left out", line,
                g->opt->servers);
    else
        get_director_source(g, url, false, priority);
    free(url);
}

static void take_servers(struct plait_get *g, const char *name)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int fd = open(g->opt->servers, O_RDONLY | O_CLOEXEC), err = PLAIT_ERR_IO;
    unsigned priority = 0;

    if (fd >= 0)
        err = plait_read_file(fd, LIST_BYTES_MAX, &bytes, &len);
    if (err != PLAIT_OK)
        get_end(g, PLAIT_GET_LOCAL, "%s cannot be read: %s; it is a list of URLs, one in each line",
                g->opt->servers, err == PLAIT_ERR_IO ? strerror(errno) : "too long");
    if (fd >= 0)
        close(fd);
    char *text = err == PLAIT_OK ? strndup((const char *)bytes, len) : NULL, *rest = NULL;
    for (char *line = text != NULL ? strtok_r(text, "\n", &rest) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        add_server(g, line, name, priority++);
    free(text);
    free(bytes);
}

void get_take_name(struct plait_get *g, const char *name)
{
    while (*name == '/')
        name++;
    if (!plait_stream_name_is_good(name, strlen(name))) {
        get_end(g, PLAIT_GET_USAGE, "%.100s is no name of a stream; see plait get --help", name);
        return;
    }
    if (g->proposed_name == NULL) {
        char safe[PLAIT_NAME_MAX + 1];
        if (plait_safe_name(name, strlen(name), safe, sizeof safe) == PLAIT_OK)
            g->proposed_name = strdup(safe);
    }
    if (g->opt->servers != NULL)
        take_servers(g, name);
    if (g->opt->ask_lan && !g->ending && g->lan == NULL)
        get_ask_lan(g, name);
}
