/* The first byte selects: an allow-list's rule, the head of a request, credentials, or the judgement of an
 * address. */
#include <stdlib.h>
#include <string.h>

#include "allow.h"
#include "ask.h"
#include "fuzz.h"

static void rule(const char *s, size_t len)
{
    struct plait_allow a = {0};
    char form[PLAIT_ALLOW_TEXT_MAX], again[PLAIT_ALLOW_TEXT_MAX];
    char *text = strndup(s, len);

    if (text != NULL && plait_allow_add(&a, text) == PLAIT_OK) {
        plait_allow_text(&a.rules[0], form);
        /* The one form is a rule, and its own form. */
        FUZZ_CHECK(plait_allow_add(&a, form) == PLAIT_OK);
        FUZZ_CHECK(strcmp(plait_allow_text(&a.rules[1], again), form) == 0);
        FUZZ_CHECK(a.rules[0].port == a.rules[1].port && a.rules[0].is_private == a.rules[1].is_private);
    }
    plait_allow_done(&a);
    free(text);
}

static void head(const char *s, size_t len)
{
    struct plait_ask ask;
    char name[PLAIT_ALLOW_NAME_MAX + 1];
    size_t used = 0, again = 0;

    if (plait_ask_parse(s, len, &ask, &used) != PLAIT_OK)
        return;
    FUZZ_CHECK(used >= 4 && used <= len && used <= PLAIT_ASK_HEAD_MAX &&
               memcmp(s + used - 4, "\r\n\r\n", 4) == 0);
    FUZZ_CHECK(ask.credentials.len == 0 ||
               (ask.credentials.at > s && ask.credentials.at + ask.credentials.len < s + used));
    if (ask.kind == PLAIT_ASK_CONNECT) {
        FUZZ_CHECK(ask.port > 0);
        FUZZ_CHECK(ask.name[0] == '\0' || plait_host_name(ask.name, strlen(ask.name), name) == PLAIT_OK);
    }
    /* What follows the head changes nothing. */
    FUZZ_CHECK(plait_ask_parse(s, used, &ask, &again) == PLAIT_OK && again == used);
}

static void credentials(const char *s, size_t len)
{
    struct plait_credentials c;

    if (plait_credentials_parse(plait_text_of(s, len), &c) != PLAIT_OK)
        return;
    FUZZ_CHECK(strlen(c.user) > 0 && strlen(c.user) <= PLAIT_ASK_USER_MAX && strchr(c.user, ':') == NULL);
    FUZZ_CHECK(strlen(c.secret) <= PLAIT_ASK_SECRET_MAX);
}

/* No public rule, however wide, may lead inside. */
static void judgement(const char *s, size_t len)
{
    struct plait_allow a = {0};
    struct plait_address address;

    if (len < sizeof address.bytes)
        return;
    memcpy(address.bytes, s, sizeof address.bytes);
    FUZZ_CHECK(plait_allow_add(&a, "0.0.0.0/0:*") == PLAIT_OK && plait_allow_add(&a, "[::/0]:*") == PLAIT_OK);
    FUZZ_CHECK(plait_allow_address(&a, NULL, &address, 1, false) ==
               (plait_address_class(&address) == PLAIT_ADDRESS_PUBLIC));
    plait_allow_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[])(const char *s, size_t len) = {rule, head, credentials, judgement};

    if (size > 0)
        parsers[data[0] % (sizeof parsers / sizeof parsers[0])]((const char *)data + 1, size - 1);
    return 0;
}
