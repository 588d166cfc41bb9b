/* The first byte is the size of the chunks in which the rest, a document, is fed. */
#include "metalink.h"

#include <string.h>

#include "fuzz.h"
#include "link.h"
#include "text.h"

static void check_file(const struct plait_metalink_file *f)
{
    const struct plait_metalink_pieces *p = &f->pieces;

    FUZZ_CHECK(strlen(f->name) > 0 && strchr(f->name, '/') == NULL && f->name[0] != '.');
    FUZZ_CHECK(!f->has_size || f->size <= PLAIT_METALINK_SIZE_MAX);
    FUZZ_CHECK(f->digest.len == plait_digest_alg_len(f->digest.alg));
    FUZZ_CHECK((p->alg == PLAIT_DIGEST_NONE) == (p->count == 0) && (p->count == 0 || p->length > 0));
    FUZZ_CHECK(!f->has_size || p->count == 0 || p->count == f->size / p->length + (f->size % p->length != 0));
    for (size_t i = 0; i < f->url_count; i++) {
        FUZZ_CHECK(plait_text_is_url(plait_text_of(f->urls[i].url, strlen(f->urls[i].url))));
        FUZZ_CHECK(f->urls[i].priority >= 1 && f->urls[i].priority <= PLAIT_PRIORITY_MAX);
        FUZZ_CHECK(strlen(f->urls[i].location) == 0 || strlen(f->urls[i].location) == 2);
    }
}

static int parse_chunks(const uint8_t *data, size_t size, size_t chunk, struct plait_metalink *m)
{
    struct plait_metalink_parser *p = plait_metalink_parser_new();
    int err = PLAIT_OK;

    FUZZ_CHECK(p != NULL);
    for (size_t at = 0; at < size && err == PLAIT_OK; at += chunk)
        err = plait_metalink_parser_feed(p, data + at, size - at < chunk ? size - at : chunk);
    if (err == PLAIT_OK)
        err = plait_metalink_parser_finish(p, m);
    plait_metalink_parser_free(p);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plait_metalink whole, parts;

    if (size == 0)
        return 0;
    int err = plait_metalink_parse(data + 1, size - 1, &whole);
    plait_metalink_sniff(data + 1, size - 1);
    /* However it is cut, it is the same document. */
    int parts_err = parse_chunks(data + 1, size - 1, (size_t)data[0] + 1, &parts);
    FUZZ_CHECK((err == PLAIT_OK) == (parts_err == PLAIT_OK));
    if (err != PLAIT_OK)
        return 0;
    FUZZ_CHECK(whole.file_count > 0 && whole.file_count == parts.file_count);
    for (size_t i = 0; i < whole.file_count; i++) {
        check_file(&whole.files[i]);
        FUZZ_CHECK(strcmp(whole.files[i].name, parts.files[i].name) == 0);
        FUZZ_CHECK(whole.files[i].url_count == parts.files[i].url_count);
    }
    plait_metalink_done(&whole);
    plait_metalink_done(&parts);
    return 0;
}
