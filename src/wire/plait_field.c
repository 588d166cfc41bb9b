#include "plait_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "digest.h"
#include "text.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

bool plait_block_bytes_valid(uint64_t block_bytes)
{
    return block_bytes >= PLAIT_BLOCK_BYTES_MIN && block_bytes <= PLAIT_BLOCK_BYTES_MAX &&
           (block_bytes & (block_bytes - 1)) == 0;
}

uint64_t plait_block_count(uint64_t size, uint32_t block_bytes)
{
    return size / block_bytes + (size % block_bytes != 0);
}

char plait_letter(uint8_t index)
{
    return index < PLAIT_LETTERS ? alphabet[index] : '?';
}

/* The index of a letter, or −1. */
static int letter_index(char c)
{
    const char *hit = c != '\0' ? strchr(alphabet, c) : NULL;

    return hit != NULL ? (int)(hit - alphabet) : -1;
}

static struct plait_text value_of(const char *s, size_t len)
{
    return plait_text_trim(plait_text_of(s, len));
}

/* One number without leading zeros. */
static int take_number(struct plait_text *t, uint64_t max, uint64_t *out)
{
    if (t->len > 1 && t->at[0] == '0' && t->at[1] >= '0' && t->at[1] <= '9')
        return PLAIT_ERR_FORMAT;
    return plait_text_take_u64(t, max, out);
}

/* A value that is one number. */
static int parse_number(const char *s, size_t len, uint64_t max, uint64_t *out)
{
    struct plait_text t = value_of(s, len);
    uint64_t v;
    int err = take_number(&t, max, &v);

    if (err != PLAIT_OK)
        return err;
    if (t.len > 0)
        return PLAIT_ERR_FORMAT;
    *out = v;
    return PLAIT_OK;
}

bool plait_field_version_is_known(const char *s, size_t len)
{
    return plait_text_is(value_of(s, len), "1");
}

int plait_field_stream_parse(const char *s, size_t len, uint8_t id[PLAIT_GROUP_ID_BYTES])
{
    struct plait_text t = value_of(s, len);

    for (size_t i = 0; i < t.len; i++)
        if (t.at[i] >= 'A' && t.at[i] <= 'F')
            return PLAIT_ERR_FORMAT;
    return plait_hex_decode(t.at, t.len, id, PLAIT_GROUP_ID_BYTES);
}

int plait_field_stream_format(const uint8_t id[PLAIT_GROUP_ID_BYTES], char *out, size_t out_size)
{
    return plait_hex_encode(id, PLAIT_GROUP_ID_BYTES, out, out_size);
}

int plait_field_path_parse(const char *s, size_t len, uint8_t *letter)
{
    struct plait_text t = value_of(s, len);

    if (t.len != 1 || letter_index(*t.at) < 0)
        return PLAIT_ERR_FORMAT;
    *letter = (uint8_t)letter_index(*t.at);
    return PLAIT_OK;
}

int plait_field_block_parse(const char *s, size_t len, uint32_t *block_bytes)
{
    uint64_t v;
    int err = parse_number(s, len, PLAIT_BLOCK_BYTES_MAX, &v);

    if (err != PLAIT_OK)
        return err;
    if (!plait_block_bytes_valid(v))
        return PLAIT_ERR_RANGE;
    *block_bytes = (uint32_t)v;
    return PLAIT_OK;
}

/* The block after the hyphen. */
static int take_last(struct plait_text *t, struct plait_span *span)
{
    int err = take_number(t, PLAIT_BLOCK_NUMBER_MAX, &span->last);

    if (err != PLAIT_OK)
        return err;
    return span->last >= span->first ? PLAIT_OK : PLAIT_ERR_RANGE;
}

int plait_field_span_parse(const char *s, size_t len, struct plait_span *out)
{
    struct plait_text t = value_of(s, len);
    struct plait_span span = {.last = PLAIT_SPAN_OPEN};
    int err = take_number(&t, PLAIT_BLOCK_NUMBER_MAX, &span.first);

    if (err != PLAIT_OK)
        return err;
    if (!plait_text_take_char(&t, '-'))
        return PLAIT_ERR_FORMAT;
    if (t.len > 0 && (err = take_last(&t, &span)) != PLAIT_OK)
        return err;
    if (t.len > 0)
        return PLAIT_ERR_FORMAT;
    *out = span;
    return PLAIT_OK;
}

static bool is_span_valid(const struct plait_span *span)
{
    return span->first <= PLAIT_BLOCK_NUMBER_MAX && span->last >= span->first &&
           (span->last <= PLAIT_BLOCK_NUMBER_MAX || span->last == PLAIT_SPAN_OPEN);
}

/* What snprintf returned, as a result. */
static int written(int len, size_t out_size)
{
    return len >= 0 && (size_t)len < out_size ? PLAIT_OK : PLAIT_ERR_LIMIT;
}

int plait_field_span_format(const struct plait_span *span, char *out, size_t out_size)
{
    char text[PLAIT_FIELD_SPAN_SIZE];

    if (!is_span_valid(span))
        return PLAIT_ERR_ARG;
    if (span->last == PLAIT_SPAN_OPEN)
        snprintf(text, sizeof text, "%" PRIu64 "-", span->first);
    else
        snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, span->first, span->last);
    if (strlen(text) >= out_size)
        return PLAIT_ERR_LIMIT;
    memcpy(out, text, strlen(text) + 1);
    return PLAIT_OK;
}

int plait_field_pattern_parse(const char *s, size_t len, uint8_t *letters, size_t max, uint16_t *count)
{
    struct plait_text t = value_of(s, len);

    if (t.len == 0)
        return PLAIT_ERR_FORMAT;
    if (t.len > PLAIT_PATTERN_LETTERS_MAX || t.len > max)
        return PLAIT_ERR_LIMIT;
    for (size_t i = 0; i < t.len; i++)
        if (letter_index(t.at[i]) < 0)
            return PLAIT_ERR_FORMAT;
    for (size_t i = 0; i < t.len; i++)
        letters[i] = (uint8_t)letter_index(t.at[i]);
    *count = (uint16_t)t.len;
    return PLAIT_OK;
}

int plait_field_pattern_format(const uint8_t *letters, size_t count, char *out, size_t out_size)
{
    if (count == 0 || count > PLAIT_PATTERN_LETTERS_MAX)
        return PLAIT_ERR_ARG;
    for (size_t i = 0; i < count; i++)
        if (letters[i] >= PLAIT_LETTERS)
            return PLAIT_ERR_ARG;
    if (out_size <= count)
        return PLAIT_ERR_LIMIT;
    for (size_t i = 0; i < count; i++)
        out[i] = plait_letter(letters[i]);
    out[count] = '\0';
    return PLAIT_OK;
}

/* `N` or `N-M`. */
static int take_item(struct plait_text *t, struct plait_span *item)
{
    int err = take_number(t, PLAIT_BLOCK_NUMBER_MAX, &item->first);

    if (err != PLAIT_OK)
        return err;
    item->last = item->first;
    return plait_text_take_char(t, '-') ? take_last(t, item) : PLAIT_OK;
}

int plait_field_blocks_parse(const char *s, size_t len, struct plait_span items[PLAIT_BLOCKS_MAX],
                             size_t *count)
{
    struct plait_text t = value_of(s, len);
    struct plait_span found[PLAIT_BLOCKS_MAX];
    size_t n = 0;

    for (;;) {
        if (n == PLAIT_BLOCKS_MAX)
            return PLAIT_ERR_LIMIT;
        int err = take_item(&t, &found[n]);
        if (err != PLAIT_OK)
            return err;
        n++;
        plait_text_skip_space(&t);
        if (!plait_text_take_char(&t, ','))
            break;
        plait_text_skip_space(&t);
    }
    if (t.len > 0)
        return PLAIT_ERR_FORMAT;
    memcpy(items, found, n * sizeof *items);
    *count = n;
    return PLAIT_OK;
}

static int format_item(const struct plait_span *item, char *out, size_t out_size)
{
    if (item->last != item->first)
        return plait_field_span_format(item, out, out_size);
    return written(snprintf(out, out_size, "%" PRIu64, item->first), out_size);
}

int plait_field_blocks_format(const struct plait_span *items, size_t count, char *out, size_t out_size)
{
    char text[PLAIT_FIELD_BLOCKS_SIZE];
    size_t used = 0;

    if (count == 0 || count > PLAIT_BLOCKS_MAX)
        return PLAIT_ERR_ARG;
    for (size_t i = 0; i < count; i++) {
        if (!is_span_valid(&items[i]) || items[i].last == PLAIT_SPAN_OPEN)
            return PLAIT_ERR_ARG;
        if (i > 0)
            text[used++] = ',';
        int err = format_item(&items[i], text + used, sizeof text - used);
        if (err != PLAIT_OK)
            return err;
        used += strlen(text + used);
    }
    if (used >= out_size)
        return PLAIT_ERR_LIMIT;
    memcpy(out, text, used + 1);
    return PLAIT_OK;
}

int plait_field_size_parse(const char *s, size_t len, uint64_t *size)
{
    return parse_number(s, len, PLAIT_STREAM_SIZE_MAX, size);
}

int plait_field_at_parse(const char *s, size_t len, uint64_t *block)
{
    return parse_number(s, len, PLAIT_BLOCK_NUMBER_MAX + 1, block);
}

int plait_field_number_format(uint64_t number, char *out, size_t out_size)
{
    char text[PLAIT_FIELD_NUMBER_SIZE];

    if (number > PLAIT_STREAM_SIZE_MAX)
        return PLAIT_ERR_ARG;
    snprintf(text, sizeof text, "%" PRIu64, number);
    if (strlen(text) >= out_size)
        return PLAIT_ERR_LIMIT;
    memcpy(out, text, strlen(text) + 1);
    return PLAIT_OK;
}
