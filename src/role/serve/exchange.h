/*
 * A request, from its first line to the end of its answer: libmicrohttpd's four callbacks.
 *
 * They are called in the daemon's threads, and one request stays in one thread.
 */
#ifndef PLAIT_SERVE_EXCHANGE_H
#define PLAIT_SERVE_EXCHANGE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "server.h"
#include "target.h"

struct plait_exchange {
    struct plait_server *server;       /* borrowed */
    struct MHD_Connection *connection; /* borrowed */
    int fd;                            /* of the connection; borrowed */
    const char *method, *version;      /* borrowed; NULL as long as the head is not there */
    bool head;                         /* the method is HEAD: no body */
    int target_rc;                     /* of plait_target_parse */
    struct plait_target target;
    bool growing;      /* the file is still being written */
    unsigned status;   /* of the answer; 0 = none yet */
    uint64_t body_len; /* of the answer, as it will be sent */
    int64_t at_ns;     /* since 1970 */
    uint64_t began_ns;
    uint64_t acked; /* bytes that the client had taken on this connection before the answer */
    char raw[];     /* the target as it was sent, terminated */
};

/* `cls` is a struct plait_server in all of them. */

void *plait_exchange_begin(void *cls, const char *uri, struct MHD_Connection *connection);
enum MHD_Result plait_exchange_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                      const char *method, const char *version, const char *upload,
                                      size_t *upload_len, void **context);
void plait_exchange_end(void *cls, struct MHD_Connection *connection, void **context,
                        enum MHD_RequestTerminationCode code);
void plait_exchange_connection(void *cls, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode code);

/* For MHD_OPTION_UNESCAPE_CALLBACK: leaves everything as it was sent, for plait_target_parse to decode once.
 */
size_t plait_exchange_unescape(void *cls, struct MHD_Connection *connection, char *s);

/* A field of the request, or NULL; valid until its end. */
const char *plait_exchange_field(const struct plait_exchange *x, const char *name);

#endif
