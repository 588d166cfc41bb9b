#include "decimal.h"

#include <stdlib.h>
#include <string.h>

int plait_decimal_parse(const char *text, double *value, const char **end)
{
    size_t len = strspn(text, "0123456789"), digits = len;
    char number[32];

    if (text[len] == '.') {
        size_t fraction = strspn(text + len + 1, "0123456789");
        digits += fraction;
        len += 1 + fraction;
    }
    if (digits == 0 || len >= sizeof number)
        return PLAIT_ERR_FORMAT;
    memcpy(number, text, len);
    number[len] = '\0';
    *value = strtod(number, NULL); /* alone it would also take signs, hexadecimal and infinity */
    *end = text + len;
    return PLAIT_OK;
}
