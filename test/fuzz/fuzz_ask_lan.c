/* A datagram as it comes: a question, an answer, or neither. What is taken is written again and read again. */
#include "ask_lan.h"

#include <string.h>

#include "fuzz.h"

static void check_question(const uint8_t *data, size_t size)
{
    struct plait_ask_lan_question q, again;
    uint8_t out[PLAIT_ASK_LAN_BYTES];

    memset(&q, 0, sizeof q);
    memset(&again, 0, sizeof again);
    if (plait_ask_lan_question_decode(data, size, &q) != PLAIT_OK)
        return;
    FUZZ_CHECK(strlen(q.name) > 0 && strlen(q.name) <= PLAIT_ASK_LAN_NAME_MAX);
    FUZZ_CHECK(plait_ask_lan_question_encode(&q, out) == PLAIT_OK);
    FUZZ_CHECK(plait_ask_lan_question_decode(out, sizeof out, &again) == PLAIT_OK);
    FUZZ_CHECK(memcmp(&q, &again, sizeof q) == 0);
}

static void check_answer(const uint8_t *data, size_t size)
{
    struct plait_ask_lan_answer a, again;
    uint8_t out[PLAIT_ASK_LAN_BYTES];
    size_t len;

    memset(&a, 0, sizeof a);
    memset(&again, 0, sizeof again);
    if (plait_ask_lan_answer_decode(data, size, &a) != PLAIT_OK)
        return;
    for (const char *s = a.url; *s != '\0'; s++)
        FUZZ_CHECK(*s > ' ' && *s < 0x7f);
    FUZZ_CHECK(plait_ask_lan_answer_encode(&a, out, &len) == PLAIT_OK);
    FUZZ_CHECK(plait_ask_lan_answer_decode(out, len, &again) == PLAIT_OK);
    FUZZ_CHECK(memcmp(&a, &again, sizeof a) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Nearly nothing has a question's length by itself. */
    uint8_t padded[PLAIT_ASK_LAN_BYTES] = {0};

    memcpy(padded, data, size < sizeof padded ? size : sizeof padded);
    check_question(padded, sizeof padded);
    check_question(data, size);
    check_answer(data, size);
    return 0;
}
