/*
 * The input is a plaintext as it came out of the seal. What is decoded is written again and has to be the same
 * bytes, but for flags and reserved values that mean nothing; reports and probes are read to their end.
 */
#include "datagram.h"

#include <string.h>

#include "fuzz.h"

static void check_reports(const struct plait_datagram *d)
{
    struct plait_datagram_report r;
    uint8_t body[65536];
    size_t at = 0, used = 0, before = 0;
    int err;

    while ((err = plait_datagram_report_next(d->body, d->body_len, &at, &r)) == PLAIT_OK) {
        FUZZ_CHECK(at > before && at <= d->body_len && r.ranges_n <= PLAIT_DATAGRAM_RANGES_MAX);
        before = at;
        if (plait_datagram_report_append(body, sizeof(body), &used, &r) != PLAIT_OK)
            return; /* more than a byte can count */
        FUZZ_CHECK(used == at && memcmp(body + 1, d->body + 1, used - 1) == 0);
    }
    FUZZ_CHECK(err == PLAIT_ERR_NOTFOUND || err == PLAIT_ERR_TRUNC || err == PLAIT_ERR_LIMIT);
    FUZZ_CHECK(at == before);
}

static void check_probe(const struct plait_datagram *d)
{
    struct plait_datagram_probe p;
    uint8_t out[PLAIT_DATAGRAM_PROBE_BYTES];

    if (plait_datagram_probe_decode(d->body, d->body_len, &p) != PLAIT_OK)
        return;
    plait_datagram_probe_encode(&p, out);
    FUZZ_CHECK(memcmp(out, d->body, sizeof(out)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plait_datagram d;
    uint8_t out[PLAIT_DATAGRAM_DATA_BYTES];

    if (size > 65535 || plait_datagram_decode(data, size, &d) != PLAIT_OK)
        return 0;
    size_t header = plait_datagram_header_bytes(d.kind);
    FUZZ_CHECK(d.body == data + header && d.body_len == size - header);
    FUZZ_CHECK(plait_datagram_encode(&d, out) == (int)header);
    FUZZ_CHECK(memcmp(out, data, header) == 0);
    check_reports(&d);
    check_probe(&d);
    return 0;
}
