/*
 * Feeds of server-sent events (WHATWG HTML section 9.2): who listens for changes of which name.
 *
 * Each listener has a queue with a bound. Whoever does not take what is queued loses his feed, and has to ask anew: that
 * gives him all that he has missed.
 */
#ifndef PLAIT_DIRECT_FEED_H
#define PLAIT_DIRECT_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

#define PLAIT_FEED_QUEUE_MAX (UINT64_C(512) * 1024) /* bytes that one listener may have waiting */

struct plait_feeds;
struct plait_feed;

/* Returns owned, or NULL (out of memory). */
struct plait_feeds *plait_feeds_new(void);
/* After its feeds. */
void plait_feeds_free(struct plait_feeds *f);

/* Begins a feed for a name. `wake` is called when there is something for it. Returns owned, or NULL (out of memory). */
struct plait_feed *plait_feed_new(struct plait_feeds *f, const char *name, void (*wake)(void *ctx),
                                  void *ctx);
void plait_feed_free(struct plait_feed *feed);
/* Queues an event for that one. `data` is one line. */
void plait_feed_send(struct plait_feed *feed, const char *event, const char *data);
/* What is waiting, up to `max` bytes; 0: nothing; −1: the feed is over. */
ssize_t plait_feed_pull(struct plait_feed *feed, char *out, size_t max);

/* Whether anybody listens for that name; NULL: for any. */
bool plait_feeds_has(const struct plait_feeds *f, const char *name);
/* Queues an event for all who listen for that name; NULL: for all. */
void plait_feeds_send(struct plait_feeds *f, const char *name, const char *event, const char *data);
/* A comment, by which both ends see that the other is there. */
void plait_feeds_keep_alive(struct plait_feeds *f);
/* Every feed ends when its queue is empty. */
void plait_feeds_end(struct plait_feeds *f);
size_t plait_feeds_count(const struct plait_feeds *f);

#endif
