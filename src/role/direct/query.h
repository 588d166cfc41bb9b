/*
 * What a client asks of a director: a request's target and its Accept field, as a stranger sent them.
 */
#ifndef PLAIT_DIRECT_QUERY_H
#define PLAIT_DIRECT_QUERY_H

#include <stdbool.h>

#include "err.h"
#include "stream_name.h"
#include "version.h"

enum plait_form {
    PLAIT_FORM_ANY, /* whatever fits: a redirection, or a page */
    PLAIT_FORM_JSON,
    PLAIT_FORM_METALINK,
    PLAIT_FORM_EVENTS,
};

struct plait_query {
    char name[PLAIT_STREAM_NAME_MAX + 1];  /* "" for `/` */
    char after[PLAIT_STREAM_NAME_MAX + 1]; /* for `/`: list the streams that come after this name */
    struct plait_wish wish;
    enum plait_form form; /* that the query asks for; ANY: as Accept has it */
};

/* PLAIT_ERR_FORMAT, also for a parameter with a value that cannot be; parameters that are not known are passed over. */
PLAIT_MUST_USE int plait_query_parse(const char *target, struct plait_query *out);
/*
 * The form that the client likes best. Among what it likes alike the one it names before a wildcard, and then the
 * first. What cannot be understood counts as any.
 */
enum plait_form plait_accept_parse(const char *field);

#endif
