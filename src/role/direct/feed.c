#include "feed.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* A name that somebody listens for. */
struct topic {
    char *name;
    LIST_HEAD(topic_feeds, plait_feed) feeds;
};

struct plait_feed {
    struct plait_feeds *feeds;
    struct topic *topic;
    LIST_ENTRY(plait_feed) in_topic, in_all;
    char *queue;
    size_t len, room;
    bool is_over; /* when the queue is empty; `is_lost`: at once */
    bool is_lost;
    void (*wake)(void *ctx);
    void *ctx;
};

struct plait_feeds {
    void *topics; /* tree of struct topic: strangers choose the names */
    LIST_HEAD(all_feeds, plait_feed) all;
    size_t count;
};

static int compare_topics(const void *a, const void *b)
{
    return strcmp(((const struct topic *)a)->name, ((const struct topic *)b)->name);
}

struct plait_feeds *plait_feeds_new(void)
{
    struct plait_feeds *f = calloc(1, sizeof *f);

    if (f != NULL)
        LIST_INIT(&f->all);
    return f;
}

void plait_feeds_free(struct plait_feeds *f)
{
    free(f);
}

static struct topic *find_topic(const struct plait_feeds *f, const char *name)
{
    struct topic probe = {.name = (char *)name};
    struct topic **node = tfind(&probe, &f->topics, compare_topics);

    return node != NULL ? *node : NULL;
}

static struct topic *add_topic(struct plait_feeds *f, const char *name)
{
    struct topic *t = calloc(1, sizeof *t);

    if (t != NULL && (t->name = strdup(name)) != NULL && tsearch(t, &f->topics, compare_topics) != NULL) {
        LIST_INIT(&t->feeds);
        return t;
    }
    if (t != NULL)
        free(t->name);
    free(t);
    return NULL;
}

struct plait_feed *plait_feed_new(struct plait_feeds *f, const char *name, void (*wake)(void *ctx), void *ctx)
{
    struct plait_feed *feed = calloc(1, sizeof *feed);
    struct topic *t = feed != NULL ? find_topic(f, name) : NULL;

    if (feed == NULL || (t == NULL && (t = add_topic(f, name)) == NULL)) {
        free(feed);
        return NULL;
    }
    feed->feeds = f;
    feed->topic = t;
    feed->wake = wake;
    feed->ctx = ctx;
    LIST_INSERT_HEAD(&t->feeds, feed, in_topic);
    LIST_INSERT_HEAD(&f->all, feed, in_all);
    f->count++;
    return feed;
}

void plait_feed_free(struct plait_feed *feed)
{
    struct topic *t = feed->topic;

    LIST_REMOVE(feed, in_topic);
    LIST_REMOVE(feed, in_all);
    feed->feeds->count--;
    if (LIST_EMPTY(&t->feeds)) {
        tdelete(t, &feed->feeds->topics, compare_topics);
        free(t->name);
        free(t);
    }
    free(feed->queue);
    free(feed);
}

static bool make_room(struct plait_feed *feed, size_t len)
{
    size_t room = feed->room > 0 ? feed->room : 1024;

    if (feed->len + len > PLAIT_FEED_QUEUE_MAX)
        return false;
    while (room < feed->len + len)
        room *= 2;
    char *more = room > feed->room ? realloc(feed->queue, room) : feed->queue;
    if (more == NULL)
        return false;
    feed->queue = more;
    feed->room = room;
    return true;
}

static void append(struct plait_feed *feed, const char *text, size_t len)
{
    if (feed->is_over || feed->is_lost)
        return;
    if (make_room(feed, len)) {
        memcpy(feed->queue + feed->len, text, len);
        feed->len += len;
    } else {
        feed->is_lost = true;
    }
    feed->wake(feed->ctx);
}

void plait_feed_send(struct plait_feed *feed, const char *event, const char *data)
{
    char *text = NULL;
    int len = asprintf(&text, "event: %s\ndata: %s\n\n", event, data);

    if (len >= 0) {
        append(feed, text, (size_t)len);
        free(text);
    }
}

ssize_t plait_feed_pull(struct plait_feed *feed, char *out, size_t max)
{
    size_t len = feed->len < max ? feed->len : max;

    if (feed->is_lost)
        return -1;
    if (len == 0)
        return feed->is_over ? -1 : 0;
    memcpy(out, feed->queue, len);
    memmove(feed->queue, feed->queue + len, feed->len - len);
    feed->len -= len;
    return (ssize_t)len;
}

bool plait_feeds_has(const struct plait_feeds *f, const char *name)
{
    return name != NULL ? find_topic(f, name) != NULL : f->count > 0;
}

static void append_to_all(struct plait_feeds *f, const char *text, size_t len)
{
    struct plait_feed *feed;

    for (feed = LIST_FIRST(&f->all); feed != NULL; feed = LIST_NEXT(feed, in_all))
        append(feed, text, len);
}

void plait_feeds_send(struct plait_feeds *f, const char *name, const char *event, const char *data)
{
    char *text = NULL;
    int len = asprintf(&text, "event: %s\ndata: %s\n\n", event, data);
    struct topic *t = name != NULL ? find_topic(f, name) : NULL;
    struct plait_feed *feed;

    if (len < 0)
        return;
    if (name == NULL)
        append_to_all(f, text, (size_t)len);
    else if (t != NULL)
        for (feed = LIST_FIRST(&t->feeds); feed != NULL; feed = LIST_NEXT(feed, in_topic))
            append(feed, text, (size_t)len);
    free(text);
}

void plait_feeds_keep_alive(struct plait_feeds *f)
{
    append_to_all(f, ":\n\n", 3);
}

void plait_feeds_end(struct plait_feeds *f)
{
    struct plait_feed *feed;

    for (feed = LIST_FIRST(&f->all); feed != NULL; feed = LIST_NEXT(feed, in_all)) {
        feed->is_over = true;
        feed->wake(feed->ctx);
    }
}

size_t plait_feeds_count(const struct plait_feeds *f)
{
    return f->count;
}
