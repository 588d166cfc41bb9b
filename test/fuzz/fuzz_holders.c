/* What a director sends: a stream of events, in slices; the data of each as a snapshot and as a change. */
#include "events.h"
#include "holders.h"

#include <string.h>

#include "fuzz.h"

static void check_snapshot(const char *data, size_t len)
{
    const struct plait_digest none = {0};
    struct plait_holders l;

    if (plait_holders_parse(data, len, UINT64_MAX, &none, &l) == PLAIT_OK) {
        FUZZ_CHECK(l.url_count <= PLAIT_HOLDERS_SOURCES_MAX && l.relay_count <= PLAIT_HOLDERS_RELAYS_MAX);
        for (size_t i = 0; i < l.url_count; i++)
            FUZZ_CHECK(l.urls[i][0] != '\0' && strlen(l.urls[i]) <= PLAIT_HOLDERS_URL_MAX);
        for (size_t i = 0; i < l.relay_count; i++)
            for (size_t k = 0; k < l.relays[i].reach_count; k++)
                (void)plait_holders_reaches(l.relays[i].reaches[k], "192.0.2.1", 80);
    }
    plait_holders_done(&l);
}

static void on_event(void *ctx, const char *name, const char *data, size_t len)
{
    struct plait_holders_change c;

    (void)ctx;
    FUZZ_CHECK(strlen(name) < PLAIT_EVENT_NAME_MAX && len <= PLAIT_EVENT_DATA_MAX && data[len] == '\0');
    check_snapshot(data, len);
    if (plait_holders_change_parse(data, len, &c) == PLAIT_OK)
        FUZZ_CHECK(c.url != NULL && c.url[0] != '\0');
    plait_holders_change_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plait_events_reader r = {0};
    size_t slice = size > 0 ? 1 + data[0] : 1;

    for (size_t at = size > 0; at < size; at += slice) {
        size_t n = size - at < slice ? size - at : slice;
        if (!plait_events_read(&r, (const char *)data + at, n, on_event, NULL))
            break;
    }
    plait_events_done(&r);
    return 0;
}
