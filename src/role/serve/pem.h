/*
 * Where the certificate and the key are read from, again and again while the server runs.
 *
 * A server that gives up its privileges after the start can usually not read its key again. For such a one
 * the files are read by a keeper: a process that is forked off while the privileges are still there, does
 * nothing but read these two files when it is asked to, and ends with the server.
 */
#ifndef PLAIT_SERVE_PEM_H
#define PLAIT_SERVE_PEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* Each file; a chain of many certificates has a tenth of this. */
#define PLAIT_PEM_SIZE_MAX ((size_t)256 * 1024)

struct plait_pem_pair {
    char *cert, *key; /* owned, terminated */
    size_t cert_len, key_len;
};

/* Overwrites the key before it frees it. */
void plait_pem_pair_done(struct plait_pem_pair *pair);

struct plait_pem {
    const char *cert_path, *key_path; /* borrowed */
    int keeper_fd;                    /* −1: read by ourselves */
    pid_t keeper;
};

/* Only remembers the paths. */
void plait_pem_init(struct plait_pem *pem, const char *cert_path, const char *key_path);
/* Begins the keeper; the process must have one thread only. PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_pem_keep(struct plait_pem *pem);
void plait_pem_done(struct plait_pem *pem);

/*
 * Reads both files. PLAIT_ERR_IO (errno) where one cannot be read, PLAIT_ERR_LIMIT where one is too long or
 * not a regular file, PLAIT_ERR_NOMEM, PLAIT_ERR_STATE where the keeper is gone. *failed is the path it is
 * about.
 */
PLAIT_MUST_USE int plait_pem_read(const struct plait_pem *pem, struct plait_pem_pair *out,
                                  const char **failed);

#endif
