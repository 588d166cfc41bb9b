#include "events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (PLAIT_EVENT_DATA_MAX + 64)

static bool append(char **text, size_t *used, size_t *room, const char *bytes, size_t len)
{
    if (*used + len + 1 > *room) {
        size_t more = *used + len + 1 > 2 * *room ? *used + len + 1 : 2 * *room;
        char *grown = realloc(*text, more);
        if (grown == NULL)
            return false;
        *text = grown;
        *room = more;
    }
    memcpy(*text + *used, bytes, len);
    *used += len;
    (*text)[*used] = '\0';
    return true;
}

/* The value of "name: value"; NULL where the line has another name. */
static const char *value_of(const char *line, const char *name)
{
    size_t len = strlen(name);

    if (strncmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    return line[len + 1] == ' ' ? line + len + 2 : line + len + 1;
}

static bool take_line(struct plait_events_reader *r,
                      void (*event)(void *ctx, const char *name, const char *data, size_t data_len),
                      void *ctx)
{
    const char *line = r->line, *value;

    if (r->line_len == 0) {
        if (r->data_len > 0 && !r->too_long)
            event(ctx, r->name, r->data, r->data_len);
        r->data_len = 0;
        r->name[0] = '\0';
        r->too_long = false;
        return true;
    }
    if ((value = value_of(line, "event")) != NULL) {
        snprintf(r->name, sizeof r->name, "%s", value);
    } else if ((value = value_of(line, "data")) != NULL) {
        r->too_long |= r->data_len + strlen(value) + 1 > PLAIT_EVENT_DATA_MAX;
        if (r->too_long)
            return true;
        return (r->data_len == 0 || append(&r->data, &r->data_len, &r->data_room, "\n", 1)) &&
               append(&r->data, &r->data_len, &r->data_room, value, strlen(value));
    }
    return true;
}

bool plait_events_read(struct plait_events_reader *r, const char *bytes, size_t len,
                       void (*event)(void *ctx, const char *name, const char *data, size_t data_len),
                       void *ctx)
{
    while (len > 0) {
        const char *end = memchr(bytes, '\n', len);
        size_t n = end != NULL ? (size_t)(end - bytes) : len;
        size_t room = LINE_MAX_BYTES - r->line_len, kept = n < room ? n : room;
        r->too_long |= kept < n; /* what is kept tells it from the empty line that ends the event */
        if (!append(&r->line, &r->line_len, &r->line_room, bytes, kept))
            return false;
        bytes += n;
        len -= n;
        if (end == NULL)
            return true;
        bytes++;
        len--;
        if (r->line_len > 0 && r->line[r->line_len - 1] == '\r')
            r->line[--r->line_len] = '\0';
        if (!take_line(r, event, ctx))
            return false;
        r->line_len = 0;
    }
    return true;
}

void plait_events_done(struct plait_events_reader *r)
{
    free(r->data);
    free(r->line);
    memset(r, 0, sizeof *r);
}
