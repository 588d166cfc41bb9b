/*
 * The question to the local network, "who holds this stream?", and its answers (doc/protocol.md): datagrams by
 * which a receiver that has no director finds the plait servers next to it.
 *
 *      question   "plaq" · 1 · kind u8 · name length u16 · nonce [16] · size u64 · sha-256 [32] · name · zeros
 *      answer     "plaa" · 1 · kind u8 · URL length u16 · nonce [16] · size u64 · sha-256 [32]
 *                 · tag length u8 · tag · URL
 *
 * with numbers in big-endian order. Each question fills PLAIT_ASK_LAN_BYTES, and no answer is longer: whoever
 * asks in somebody else's name gets no more sent there than he sends himself.
 *
 * What comes from the network is text of well-formed UTF-8 without control characters, or is refused. Whether
 * a name is one of a stream, and whether a URL leads anywhere, is for the caller to find out; so is whether
 * the answer is true.
 */
#ifndef PLAIT_WIRE_ASK_LAN_H
#define PLAIT_WIRE_ASK_LAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Where questions go: these groups, with a hop limit of 1. Answers go to the asker's address and port. */
#define PLAIT_ASK_LAN_GROUP_V4 "239.255.76.65"
#define PLAIT_ASK_LAN_GROUP_V6 "ff02::706c:6169:74"
#define PLAIT_ASK_LAN_PORT     4076

#define PLAIT_ASK_LAN_BYTES        1232u /* of every question; the most that an answer has */
#define PLAIT_ASK_LAN_NONCE_BYTES  16u
#define PLAIT_ASK_LAN_SHA256_BYTES 32u
#define PLAIT_ASK_LAN_NAME_MAX     1024u
#define PLAIT_ASK_LAN_URL_MAX      1100u
#define PLAIT_ASK_LAN_TAG_MAX      66u
/* In a question: whatever its size. In an answer: it is still being written. */
#define PLAIT_ASK_LAN_SIZE_UNKNOWN UINT64_MAX

struct plait_ask_lan_question {
    uint8_t nonce[PLAIT_ASK_LAN_NONCE_BYTES]; /* random: tells our answers from others */
    uint64_t size;                            /* that it must have, or SIZE_UNKNOWN */
    bool has_sha256;                          /* then it must have this digest, and the name does not count */
    uint8_t sha256[PLAIT_ASK_LAN_SHA256_BYTES]; /* zeros where there is none */
    char name[PLAIT_ASK_LAN_NAME_MAX + 1];      /* terminated, not empty */
};

struct plait_ask_lan_answer {
    uint8_t nonce[PLAIT_ASK_LAN_NONCE_BYTES]; /* the question's */
    uint64_t size;                            /* bytes, or SIZE_UNKNOWN */
    bool has_sha256;                          /* the digest is known */
    uint8_t sha256[PLAIT_ASK_LAN_SHA256_BYTES];
    char tag[PLAIT_ASK_LAN_TAG_MAX + 1]; /* the strong ETag with its quotes; "" where there is none (yet) */
    char url[PLAIT_ASK_LAN_URL_MAX + 1]; /* where it is: of http or https; terminated, not empty */
};

/* Writes PLAIT_ASK_LAN_BYTES. PLAIT_ERR_ARG for what the decoder would refuse. */
PLAIT_MUST_USE int plait_ask_lan_question_encode(const struct plait_ask_lan_question *q,
                                                 uint8_t out[PLAIT_ASK_LAN_BYTES]);
/* Likewise, *len of them. PLAIT_ERR_LIMIT where URL and tag together are too long. */
PLAIT_MUST_USE int plait_ask_lan_answer_encode(const struct plait_ask_lan_answer *a,
                                               uint8_t out[PLAIT_ASK_LAN_BYTES], size_t *len);

/*
 * One datagram. PLAIT_ERR_FORMAT for one of another kind or version, PLAIT_ERR_TRUNC for one that is too
 * short (a question: for anything but PLAIT_ASK_LAN_BYTES), PLAIT_ERR_LIMIT for text that is too long,
 * PLAIT_ERR_RANGE for a size that no stream has. *out is written only on success.
 */
PLAIT_MUST_USE int plait_ask_lan_question_decode(const void *bytes, size_t len,
                                                 struct plait_ask_lan_question *out);
PLAIT_MUST_USE int plait_ask_lan_answer_decode(const void *bytes, size_t len,
                                               struct plait_ask_lan_answer *out);

#endif
