/*
 * Result codes. Every fallible function of plait returns 0 or one of these negative values, or documents
 * otherwise. Libraries return them; only roles and commands turn them into words for people.
 */
#ifndef PLAIT_BASE_ERR_H
#define PLAIT_BASE_ERR_H

enum plait_err {
    PLAIT_OK = 0,
    PLAIT_ERR_NOMEM = -1,    /* out of memory, or a fixed pool is empty */
    PLAIT_ERR_ARG = -2,      /* the caller gave an argument outside the contract */
    PLAIT_ERR_TRUNC = -3,    /* input ended before the value did */
    PLAIT_ERR_FORMAT = -4,   /* input is not of the expected form */
    PLAIT_ERR_RANGE = -5,    /* well-formed, but a number is outside what is allowed */
    PLAIT_ERR_LIMIT = -6,    /* a stated bound (length, count, depth) was exceeded */
    PLAIT_ERR_NOTFOUND = -7, /* the thing asked for is not there */
    PLAIT_ERR_IO = -8,       /* the system refused; errno tells why */
    PLAIT_ERR_CORRUPT = -9,  /* a checksum or signature does not match */
    PLAIT_ERR_STATE = -10,   /* not possible in the present state */
};

#define PLAIT_MUST_USE           __attribute__((warn_unused_result))
#define PLAIT_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* A short English name for a code, for logs and tests; never NULL. */
const char *plait_err_name(int err);

#endif
