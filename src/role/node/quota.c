#include "quota.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "units.h"

#define DAY_S          86400
#define LINE_MAX_BYTES 96
#define FILE_BYTES     ((size_t)PLAIT_QUOTA_ENTRIES_MAX * LINE_MAX_BYTES)
#define MONDAY         4 /* days after 1970-01-01, which was a Thursday */

static const char *const period_names[] = {
    [PLAIT_CONFIG_DAY] = "day", [PLAIT_CONFIG_WEEK] = "week", [PLAIT_CONFIG_MONTH] = "month"};

int64_t plait_quota_period(enum plait_config_period period, int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    if (period == PLAIT_CONFIG_DAY)
        return unix_s / DAY_S;
    if (period == PLAIT_CONFIG_WEEK)
        return (unix_s / DAY_S - MONDAY) / 7;
    gmtime_r(&t, &tm);
    return (int64_t)tm.tm_year * 12 + tm.tm_mon;
}

static struct plait_quota_entry *find(struct plait_quota *q, const char *name)
{
    for (size_t i = 0; i < q->count; i++)
        if (strcmp(q->entries[i].name, name) == 0)
            return &q->entries[i];
    return NULL;
}

static void read_line(struct plait_quota *q, const char *line)
{
    struct plait_quota_entry e = {.name = ""};
    char kind[8];

    if (sscanf(line, "%7s %" SCNd64 " %" SCNu64 " %31s", kind, &e.number, &e.used, e.name) != 4 ||
        q->count == PLAIT_QUOTA_ENTRIES_MAX || find(q, e.name) != NULL)
        return;
    for (size_t i = 0; i < PLAIT_COUNT(period_names); i++)
        if (strcmp(kind, period_names[i]) == 0) {
            e.period = (enum plait_config_period)i;
            q->entries[q->count++] = e;
        }
}

int plait_quota_open(struct plait_quota *q, const char *path)
{
    uint8_t *bytes;
    size_t len;

    memset(q, 0, sizeof *q);
    q->fd = plait_open_own(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (q->fd < 0)
        return PLAIT_ERR_IO;
    if (plait_read_file(q->fd, FILE_BYTES, &bytes, &len) != PLAIT_OK)
        return PLAIT_OK;
    char *save = NULL;
    for (char *line = strtok_r((char *)bytes, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        read_line(q, line);
    free(bytes);
    return PLAIT_OK;
}

void plait_quota_add(struct plait_quota *q, const char *name, enum plait_config_period period, int64_t unix_s,
                     uint64_t bytes)
{
    struct plait_quota_entry *e = find(q, name);
    int64_t number = plait_quota_period(period, unix_s);

    if (e == NULL) {
        if (q->count == PLAIT_QUOTA_ENTRIES_MAX)
            return;
        e = &q->entries[q->count++];
        *e = (struct plait_quota_entry){.period = period, .number = number};
        snprintf(e->name, sizeof e->name, "%s", name);
    }
    if (e->period != period || e->number != number) {
        e->period = period;
        e->number = number;
        e->used = 0;
    }
    e->used += bytes;
    q->changed = true;
}

uint64_t plait_quota_used(const struct plait_quota *q, const char *name, enum plait_config_period period,
                          int64_t unix_s)
{
    for (size_t i = 0; i < q->count; i++) {
        const struct plait_quota_entry *e = &q->entries[i];
        if (strcmp(e->name, name) == 0)
            return e->period == period && e->number == plait_quota_period(period, unix_s) ? e->used : 0;
    }
    return 0;
}

int plait_quota_save(struct plait_quota *q)
{
    char text[FILE_BYTES];
    size_t len = 0;

    if (q->fd < 0 || !q->changed)
        return PLAIT_OK;
    for (size_t i = 0; i < q->count; i++) {
        const struct plait_quota_entry *e = &q->entries[i];
        len += (size_t)snprintf(text + len, sizeof text - len, "%s %" PRId64 " %" PRIu64 " %s\n",
                                period_names[e->period], e->number, e->used, e->name);
    }
    if (plait_pwrite_all(q->fd, text, len, 0) != PLAIT_OK || ftruncate(q->fd, (off_t)len) != 0)
        return PLAIT_ERR_IO;
    q->changed = false;
    return PLAIT_OK;
}

void plait_quota_close(struct plait_quota *q)
{
    if (q->fd >= 0)
        close(q->fd);
    q->fd = -1;
}
