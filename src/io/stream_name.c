#include "stream_name.h"

#include <stdint.h>
#include <string.h>

/* The bytes of the well-formed UTF-8 character (RFC 3629) at the front, or 0. */
static size_t utf8_len(const uint8_t *s, size_t len)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t need = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

    if (need == 0 || need > len)
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0; /* shorter forms exist */
    else if (s[0] == 0xed)
        high = 0x9f; /* surrogates */
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f; /* beyond the last code point */
    for (size_t i = 1; i < need; i++, low = 0x80, high = 0xbf)
        if (s[i] < low || s[i] > high)
            return 0;
    return need;
}

bool plait_stream_name_is_good(const char *name, size_t len)
{
    bool at_start = true; /* of a segment */

    if (len == 0 || len > PLAIT_STREAM_NAME_MAX)
        return false;
    for (size_t i = 0, step; i < len; i += step) {
        uint8_t c = (uint8_t)name[i];
        step = utf8_len((const uint8_t *)name + i, len - i);
        if (step == 0 || c < 0x20 || c == 0x7f || c == '\\' || (at_start && (c == '/' || c == '.')))
            return false;
        at_start = c == '/';
    }
    return !at_start;
}

const char *plait_stream_name_encode(const char *name, char out[PLAIT_STREAM_PATH_MAX])
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    static const char digits[] = "0123456789ABCDEF";
    size_t used = 0;

    for (size_t i = 0; i < PLAIT_STREAM_NAME_MAX && name[i] != '\0'; i++) {
        if (strchr(plain, name[i]) != NULL) {
            out[used++] = name[i];
            continue;
        }
        out[used++] = '%';
        out[used++] = digits[(uint8_t)name[i] >> 4];
        out[used++] = digits[(uint8_t)name[i] & 15];
    }
    out[used] = '\0';
    return out;
}

bool plait_server_id_is_good(const char *id)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.~_-";
    size_t len = strlen(id);

    return len > 0 && len <= PLAIT_SERVER_ID_MAX && strspn(id, letters) == len &&
           strchr(".~_-", id[0]) == NULL;
}
