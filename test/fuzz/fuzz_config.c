/*
 * A configuration file. Whatever it holds, reading it ends with sections and values, or with one error in one line
 * that names a line of the file; and every getter takes every value or says what it would take.
 */
#include "config.h"

#include <string.h>

#include "fuzz.h"

static const struct plait_config_key keys[] = {{"a", false}, {"b", true}, {NULL, false}};
static const struct plait_config_kind kinds[] = {
    {"one", false, keys}, {"many", true, keys}, {NULL, false, NULL}};

static void check_error(const struct plait_config *c, int result)
{
    const char *error = plait_config_error(c);

    FUZZ_CHECK((result == PLAIT_OK) == (error[0] == '\0'));
    FUZZ_CHECK(strchr(error, '\n') == NULL);
    FUZZ_CHECK(result == PLAIT_OK || strncmp(error, "x:", 2) == 0);
}

static int get(struct plait_config_section *s, unsigned which)
{
    static const char *const words[] = {"none", "default", NULL};
    enum plait_config_period period;
    struct plait_config_endpoint e;
    struct plait_prefix p;
    double down, up;
    uint64_t n;
    size_t i;
    bool flag;

    switch (which) {
    case 0:
        return plait_config_get_flag(s, "a", &flag);
    case 1:
        return plait_config_get_number(s, "a", 5, 10, &n);
    case 2:
        return plait_config_get_choice(s, "a", words, &i);
    case 3:
        return plait_config_get_rates(s, "a", &down, &up);
    case 4:
        return plait_config_get_weights(s, "a", &down, &up);
    case 5:
        return plait_config_get_quota(s, "a", &n, &period);
    case 6:
        return plait_config_get_time(s, "a", &n);
    case 7:
        return plait_config_get_prefix(s, "a", &p);
    case 8:
        return plait_config_get_address(s, "a", &p);
    default:
        return plait_config_get_endpoint(s, "a", 4040, &e);
    }
}

static void get_all(const char *text)
{
    struct plait_config *c;
    int result;

    for (unsigned which = 0; which < 10; which++) {
        FUZZ_CHECK(plait_config_parse("x", text, kinds, &c) == PLAIT_OK);
        if (plait_config_count(c, "one") == 1) {
            struct plait_config_section *s = plait_config_section(c, "one", 0);
            result = get(s, which);
            FUZZ_CHECK(result == PLAIT_OK ||
                       (result == PLAIT_ERR_FORMAT && plait_config_text(s, "a") != NULL));
            check_error(c, result);
        }
        plait_config_free(c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct plait_config *c;
    int result;

    FUZZ_CHECK(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    result = plait_config_parse("x", text, kinds, &c);
    FUZZ_CHECK(result == PLAIT_OK || result == PLAIT_ERR_FORMAT);
    check_error(c, result);
    plait_config_free(c);
    if (result == PLAIT_OK)
        get_all(text);
    free(text);
    return 0;
}
