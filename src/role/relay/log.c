#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "relay_int.h"

int plait_log_open(struct plait_relay *relay)
{
    const char *path = relay->options->log_file;
    FILE *log = stderr;

    if (path != NULL && path[0] == '\0')
        return PLAIT_OK;
    if (path != NULL && (log = fopen(path, "ae")) == NULL)
        return PLAIT_ERR_IO;
    plait_log_close(relay);
    setvbuf(log, NULL, _IOLBF, 0);
    relay->log = log;
    return PLAIT_OK;
}

void plait_log_close(struct plait_relay *relay)
{
    if (relay->log != NULL && relay->log != stderr)
        fclose(relay->log);
    relay->log = NULL;
}

/* RFC 3339, in UTC, with milliseconds. */
static void write_time(char *out, size_t size)
{
    struct timespec now;
    struct tm parts;
    char seconds[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out, size, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

/* null where there is none, or where it is not UTF-8. */
static json_t *text_or_null(const char *text)
{
    json_t *value = text[0] != '\0' ? json_string(text) : NULL;

    return value != NULL ? value : json_null();
}

void plait_log_write(struct plait_relay *relay, const struct plait_log_entry *e)
{
    char at[48], peer[PLAIT_ENDPOINT_TEXT_MAX];

    if (relay->log == NULL)
        return;
    write_time(at, sizeof at);
    json_t *line =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:i, s:I, s:I, s:f, s:s}", "time", at, "client",
                  plait_endpoint_text(e->peer, peer), "user", text_or_null(e->user), "target",
                  text_or_null(e->target), "address", text_or_null(e->address), "status", e->status, "up",
                  (json_int_t)e->up, "down", (json_int_t)e->down, "seconds", e->seconds, "end", e->end);
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (text != NULL)
        fprintf(relay->log, "%s\n", text); /* a log that cannot be written must not stop the relay */
    free(text);
    json_decref(line);
}
