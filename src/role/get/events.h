/*
 * Server-sent events as they come, in slices: the lines of a stream of events become events (HTML standard,
 * server-sent events). Bounded; what is longer is dropped as a whole.
 */
#ifndef PLAIT_GET_EVENTS_H
#define PLAIT_GET_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#define PLAIT_EVENT_NAME_MAX 32
#define PLAIT_EVENT_DATA_MAX ((size_t)1024 * 1024)

struct plait_events_reader {
    char name[PLAIT_EVENT_NAME_MAX];
    char *data; /* owned */
    size_t data_len, data_room;
    char *line; /* owned */
    size_t line_len, line_room;
    bool too_long; /* the present event */
};

/* `event` is called for each complete event; data is terminated. False where memory lacks. */
bool plait_events_read(struct plait_events_reader *r, const char *bytes, size_t len,
                       void (*event)(void *ctx, const char *name, const char *data, size_t data_len),
                       void *ctx);
void plait_events_done(struct plait_events_reader *r);

#endif
