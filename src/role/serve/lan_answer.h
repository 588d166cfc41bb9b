/*
 * Answers to the question on the local network, "who holds this stream?" (wire/ask_lan.h, doc/protocol.md).
 *
 * On the loop. Only questions sent to the group are answered, each to the address and port that it came from, by
 * a datagram no longer than the question; not more than PLAIT_LAN_ANSWERS_PER_S, and of them not more than
 * PLAIT_LAN_ANSWERS_PER_SOURCE to one address. What cannot be answered is passed over in silence.
 */
#ifndef PLAIT_SERVE_LAN_ANSWER_H
#define PLAIT_SERVE_LAN_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "contents.h"
#include "endpoint.h"
#include "err.h"
#include "loop.h"

#define PLAIT_LAN_ANSWERS_PER_S      200u
#define PLAIT_LAN_ANSWERS_PER_SOURCE 20u /* in a second */

struct plait_lan_answer;

/* All borrowed until plait_lan_answer_free. */
struct plait_lan_answer_options {
    struct plait_loop *loop;
    struct plait_contents *contents;
    const char *url; /* that names are appended to; NULL: made of the address by which the asker reaches us */
    bool tls;
    const struct plait_endpoint *endpoints;
    size_t endpoint_count;
};

/* Opens the sockets and joins the groups on all interfaces. PLAIT_ERR_NOMEM, PLAIT_ERR_IO (errno) where neither
 * family can be had. */
PLAIT_MUST_USE int plait_lan_answer_new(struct plait_lan_answer **out,
                                        const struct plait_lan_answer_options *options);
/* Joins on interfaces that have come since. To be called now and then. */
void plait_lan_answer_refresh(struct plait_lan_answer *a);
/* Answers no more. NULL is harmless, as is the second time. */
void plait_lan_answer_close(struct plait_lan_answer *a);
/* After close, and when the loop has been drained. NULL is harmless. */
void plait_lan_answer_free(struct plait_lan_answer *a);

#endif
