#include "envelope.h"

int plait_envelope_decode(const uint8_t *bytes, size_t len, struct plait_envelope *out)
{
    uint32_t receiver;
    uint64_t path_seq;

    if (len < PLAIT_ENVELOPE_BYTES + PLAIT_ENVELOPE_TAG_BYTES)
        return PLAIT_ERR_TRUNC;
    if (bytes[0] != PLAIT_ENVELOPE_SEALED)
        return PLAIT_ERR_FORMAT;
    memcpy(&receiver, bytes + 2, sizeof receiver);
    memcpy(&path_seq, bytes + 6, sizeof path_seq);
    *out = (struct plait_envelope){bytes[1], be32toh(receiver), be64toh(path_seq)};
    return PLAIT_OK;
}
