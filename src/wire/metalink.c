/*
 * The grammar is a table of (element, within which element, in which version); a stack holds the elements
 * that are open. What the table does not list is IN_OTHER, and so is everything within it. Elements whose
 * text counts gather it in one bounded buffer and are acted upon at their end.
 */
#include "metalink.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "grow.h"
#include "link.h"
#include "name.h"
#include "text.h"
#include "units.h"

#define NAMESPACE_MARK "|"
#define FEED_MAX       16384u /* so much at a time, so that a token's length is known about that well */

enum element {
    AT_TOP,
    IN_METALINK,
    IN_FILES,
    IN_FILE,
    IN_SIZE,
    IN_VERIFICATION,
    IN_HASH,
    IN_PIECES,
    IN_PIECE_HASH,
    IN_RESOURCES,
    IN_URL,
    IN_OTHER,
};

enum version { V4, V3 };

static const char *const namespaces[] = {
    [V4] = "urn:ietf:params:xml:ns:metalink",
    [V3] = "http://www.metalinker.org/",
};

static const struct {
    enum version version;
    enum element within;
    const char *name;
    enum element element;
} grammar[] = {
    /* clang-format off */
    {V4, AT_TOP, "metalink", IN_METALINK},
    {V4, IN_METALINK, "file", IN_FILE},
    {V4, IN_FILE, "size", IN_SIZE},
    {V4, IN_FILE, "hash", IN_HASH},
    {V4, IN_FILE, "pieces", IN_PIECES},
    {V4, IN_PIECES, "hash", IN_PIECE_HASH},
    {V4, IN_FILE, "url", IN_URL},
    {V3, AT_TOP, "metalink", IN_METALINK},
    {V3, IN_METALINK, "files", IN_FILES},
    {V3, IN_FILES, "file", IN_FILE},
    {V3, IN_FILE, "size", IN_SIZE},
    {V3, IN_FILE, "verification", IN_VERIFICATION},
    {V3, IN_VERIFICATION, "hash", IN_HASH},
    {V3, IN_VERIFICATION, "pieces", IN_PIECES},
    {V3, IN_PIECES, "hash", IN_PIECE_HASH},
    {V3, IN_FILE, "resources", IN_RESOURCES},
    {V3, IN_RESOURCES, "url", IN_URL},
    /* clang-format on */
};

struct plait_metalink_parser {
    XML_Parser xml;
    int err;
    size_t fed;
    size_t fed_at_event; /* how much was fed when expat last reported anything */
    enum version version;
    enum element stack[PLAIT_METALINK_DEPTH_MAX]; /* stack[0] is AT_TOP */
    size_t depth;
    char text[PLAIT_URL_MAX];
    size_t text_len;

    enum plait_digest_alg hash_alg;      /* of the hash that is open */
    struct plait_metalink_url url;       /* the one that is open, without its address */
    bool url_wanted;                     /* false: of a kind that is no address of the file */
    struct plait_metalink_pieces pieces; /* those that are open */
    size_t pieces_room, file_room, url_room;
    struct plait_metalink doc;
};

static void file_done(struct plait_metalink_file *f)
{
    for (size_t i = 0; i < f->url_count; i++)
        free(f->urls[i].url);
    free(f->urls);
    free(f->pieces.bytes);
    free(f->name);
}

void plait_metalink_done(struct plait_metalink *m)
{
    for (size_t i = 0; i < m->file_count; i++)
        file_done(&m->files[i]);
    free(m->files);
    *m = (struct plait_metalink){0};
}

static struct plait_metalink_file *last_file(struct plait_metalink_parser *p)
{
    return &p->doc.files[p->doc.file_count - 1];
}

/* The value of an attribute, or an empty view. */
static struct plait_text attr_find(const char **attrs, const char *name)
{
    for (; attrs[0] != NULL; attrs += 2)
        if (strcmp(attrs[0], name) == 0)
            return plait_text_of(attrs[1], strlen(attrs[1]));
    return (struct plait_text){0};
}

static int parse_number(struct plait_text t, uint64_t max, uint64_t *out)
{
    uint64_t v;

    t = plait_text_trim(t);
    int err = plait_text_take_u64(&t, max, &v);
    if (err != PLAIT_OK)
        return err;
    if (t.len > 0)
        return PLAIT_ERR_FORMAT;
    *out = v;
    return PLAIT_OK;
}

static int start_file(struct plait_metalink_parser *p, const char **attrs)
{
    struct plait_text given = attr_find(attrs, "name");
    char name[PLAIT_NAME_MAX + 1];

    if (plait_safe_name(given.at, given.len, name, sizeof name) != PLAIT_OK)
        return PLAIT_ERR_FORMAT;
    if (p->doc.file_count == PLAIT_METALINK_FILES_MAX)
        return PLAIT_ERR_LIMIT;
    struct plait_metalink_file *files =
        plait_grow(p->doc.files, p->doc.file_count, &p->file_room, sizeof *files);
    if (files == NULL)
        return PLAIT_ERR_NOMEM;
    p->doc.files = files;
    char *copy = strdup(name);
    if (copy == NULL)
        return PLAIT_ERR_NOMEM;
    files[p->doc.file_count++] = (struct plait_metalink_file){.name = copy};
    p->url_room = 0;
    return PLAIT_OK;
}

/* Where there are pieces of a known length and a size, the one must be right for the other. */
static int end_file(struct plait_metalink_parser *p)
{
    const struct plait_metalink_file *f = last_file(p);
    uint64_t length = f->pieces.length;

    if (!f->has_size || f->pieces.alg == PLAIT_DIGEST_NONE)
        return PLAIT_OK;
    return f->pieces.count == f->size / length + (f->size % length != 0) ? PLAIT_OK : PLAIT_ERR_FORMAT;
}

static int end_size(struct plait_metalink_parser *p)
{
    struct plait_metalink_file *f = last_file(p);

    if (f->has_size)
        return PLAIT_ERR_FORMAT;
    f->has_size = true;
    return parse_number(plait_text_of(p->text, p->text_len), PLAIT_METALINK_SIZE_MAX, &f->size);
}

static int start_hash(struct plait_metalink_parser *p, const char **attrs)
{
    p->hash_alg = plait_digest_alg_find(attr_find(attrs, "type"));
    return PLAIT_OK;
}

static int end_hash(struct plait_metalink_parser *p)
{
    struct plait_digest *best = &last_file(p)->digest, d;

    if (p->hash_alg == PLAIT_DIGEST_NONE)
        return PLAIT_OK;
    int err = plait_digest_parse_hex(p->hash_alg, p->text, p->text_len, &d);
    if (err != PLAIT_OK)
        return err;
    if (best->alg == d.alg && !plait_digest_equal(best, &d))
        return PLAIT_ERR_FORMAT;
    if (best->alg < d.alg)
        *best = d;
    return PLAIT_OK;
}

static int start_pieces(struct plait_metalink_parser *p, const char **attrs)
{
    uint64_t length;
    int err = parse_number(attr_find(attrs, "length"), PLAIT_METALINK_SIZE_MAX, &length);

    if (err != PLAIT_OK)
        return err;
    if (length == 0)
        return PLAIT_ERR_RANGE;
    p->pieces = (struct plait_metalink_pieces){
        .length = length,
        .alg = plait_digest_alg_find(attr_find(attrs, "type")),
    };
    p->pieces_room = 0;
    return PLAIT_OK;
}

/* The strongest pieces of the file are kept. */
static int end_pieces(struct plait_metalink_parser *p)
{
    struct plait_metalink_pieces *best = &last_file(p)->pieces;

    if (p->pieces.count > 0 && p->pieces.alg > best->alg) {
        free(best->bytes);
        *best = p->pieces;
    } else {
        free(p->pieces.bytes);
    }
    p->pieces = (struct plait_metalink_pieces){0};
    return PLAIT_OK;
}

/* Version 3 numbers the pieces; they have to come in order all the same. */
static int start_piece_hash(struct plait_metalink_parser *p, const char **attrs)
{
    struct plait_text number = attr_find(attrs, "piece");
    uint64_t v;

    if (number.len == 0 || p->version != V3 || p->pieces.alg == PLAIT_DIGEST_NONE)
        return PLAIT_OK;
    int err = parse_number(number, PLAIT_METALINK_PIECES_MAX, &v);
    if (err != PLAIT_OK)
        return err;
    return v == p->pieces.count ? PLAIT_OK : PLAIT_ERR_FORMAT;
}

static int end_piece_hash(struct plait_metalink_parser *p)
{
    struct plait_text t = plait_text_trim(plait_text_of(p->text, p->text_len));
    size_t len = plait_digest_alg_len(p->pieces.alg);

    if (len == 0)
        return PLAIT_OK;
    if (p->pieces.count == PLAIT_METALINK_PIECES_MAX)
        return PLAIT_ERR_LIMIT;
    uint8_t *bytes = plait_grow(p->pieces.bytes, p->pieces.count, &p->pieces_room, len);
    if (bytes == NULL)
        return PLAIT_ERR_NOMEM;
    p->pieces.bytes = bytes;
    int err = plait_hex_decode(t.at, t.len, bytes + p->pieces.count * len, len);
    if (err == PLAIT_OK)
        p->pieces.count++;
    return err;
}

static bool is_small_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

static void set_location(char location[3], struct plait_text t)
{
    if (t.len != 2 || !is_small_letter((char)(t.at[0] | 0x20)) || !is_small_letter((char)(t.at[1] | 0x20)))
        return;
    location[0] = (char)(t.at[0] | 0x20);
    location[1] = (char)(t.at[1] | 0x20);
}

/* Version 4 says which address comes first, 1 before 2; version 3 how good it is, 100 above 99. */
static uint32_t url_priority(enum version version, const char **attrs)
{
    uint64_t v;
    struct plait_text t = attr_find(attrs, version == V4 ? "priority" : "preference");

    if (parse_number(t, version == V4 ? PLAIT_PRIORITY_MAX : 100, &v) != PLAIT_OK)
        return PLAIT_PRIORITY_MAX;
    if (version == V3)
        return (uint32_t)(101 - v);
    return v > 0 ? (uint32_t)v : PLAIT_PRIORITY_MAX;
}

static int start_url(struct plait_metalink_parser *p, const char **attrs)
{
    p->url = (struct plait_metalink_url){.priority = url_priority(p->version, attrs)};
    set_location(p->url.location, attr_find(attrs, "location"));
    p->url_wanted = p->version == V4 || !plait_text_is(attr_find(attrs, "type"), "bittorrent");
    return PLAIT_OK;
}

/* What is no IN_URL is passed over: one mirror less. */
static int end_url(struct plait_metalink_parser *p)
{
    struct plait_metalink_file *f = last_file(p);
    struct plait_text t = plait_text_trim(plait_text_of(p->text, p->text_len));

    if (!p->url_wanted || !plait_text_is_url(t))
        return PLAIT_OK;
    if (f->url_count == PLAIT_METALINK_URLS_MAX)
        return PLAIT_ERR_LIMIT;
    struct plait_metalink_url *urls = plait_grow(f->urls, f->url_count, &p->url_room, sizeof *urls);
    if (urls == NULL)
        return PLAIT_ERR_NOMEM;
    f->urls = urls;
    p->url.url = strndup(t.at, t.len);
    if (p->url.url == NULL)
        return PLAIT_ERR_NOMEM;
    urls[f->url_count++] = p->url;
    return PLAIT_OK;
}

static const struct {
    int (*start)(struct plait_metalink_parser *p, const char **attrs);
    int (*end)(struct plait_metalink_parser *p);
    bool has_text;
} actions[] = {
    [IN_FILE] = {start_file, end_file, false},
    [IN_SIZE] = {NULL, end_size, true},
    [IN_HASH] = {start_hash, end_hash, true},
    [IN_PIECES] = {start_pieces, end_pieces, false},
    [IN_PIECE_HASH] = {start_piece_hash, end_piece_hash, true},
    [IN_URL] = {start_url, end_url, true},
    [IN_OTHER] = {NULL, NULL, false},
};

static void fail(struct plait_metalink_parser *p, int err)
{
    if (p->err == PLAIT_OK)
        p->err = err;
    XML_StopParser(p->xml, XML_FALSE);
}

static bool is_name(const char *qualified, enum version version, const char *name)
{
    size_t len = strlen(namespaces[version]);

    return strncmp(qualified, namespaces[version], len) == 0 && qualified[len] == *NAMESPACE_MARK &&
           strcmp(qualified + len + 1, name) == 0;
}

/* What is beginning here. The first element decides the version. */
static enum element look_up(struct plait_metalink_parser *p, const char *name)
{
    enum element within = p->stack[p->depth];

    for (size_t i = 0; i < PLAIT_COUNT(grammar); i++) {
        if (grammar[i].within != within || !is_name(name, grammar[i].version, grammar[i].name))
            continue;
        if (within == AT_TOP)
            p->version = grammar[i].version;
        if (grammar[i].version == p->version)
            return grammar[i].element;
    }
    return IN_OTHER;
}

static void on_start(void *user, const char *name, const char **attrs)
{
    struct plait_metalink_parser *p = user;
    enum element element = look_up(p, name);

    p->fed_at_event = p->fed;
    if (p->err != PLAIT_OK)
        return;
    if (p->depth + 1 == PLAIT_METALINK_DEPTH_MAX) {
        fail(p, PLAIT_ERR_LIMIT);
        return;
    }
    if (actions[p->stack[p->depth]].has_text || (p->depth == 0 && element == IN_OTHER)) {
        fail(p, PLAIT_ERR_FORMAT);
        return;
    }
    p->stack[++p->depth] = element;
    p->text_len = 0;
    int err = actions[element].start != NULL ? actions[element].start(p, attrs) : PLAIT_OK;
    if (err != PLAIT_OK)
        fail(p, err);
}

static void on_end(void *user, const char *name)
{
    struct plait_metalink_parser *p = user;

    (void)name;
    p->fed_at_event = p->fed;
    if (p->err != PLAIT_OK)
        return;
    enum element element = p->stack[p->depth--];
    int err = actions[element].end != NULL ? actions[element].end(p) : PLAIT_OK;
    if (err != PLAIT_OK)
        fail(p, err);
}

static void on_text(void *user, const char *s, int s_len)
{
    struct plait_metalink_parser *p = user;
    size_t len = (size_t)s_len;

    p->fed_at_event = p->fed;
    if (p->err != PLAIT_OK || !actions[p->stack[p->depth]].has_text)
        return;
    if (len > sizeof p->text - p->text_len) {
        fail(p, PLAIT_ERR_LIMIT);
        return;
    }
    for (size_t i = 0; i < len; i++) /* so that trimming knows all of XML's white space */
        p->text[p->text_len++] = s[i] == '\n' || s[i] == '\r' ? ' ' : s[i];
}

static void on_comment(void *user, const char *text)
{
    struct plait_metalink_parser *p = user;

    (void)text;
    p->fed_at_event = p->fed;
}

static void on_instruction(void *user, const char *target, const char *text)
{
    (void)target;
    on_comment(user, text);
}

static void on_doctype(void *user, const char *name, const char *system, const char *public, int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    fail(user, PLAIT_ERR_FORMAT);
}

struct plait_metalink_parser *plait_metalink_parser_new(void)
{
    static const XML_Memory_Handling_Suite memory = {malloc, realloc, free};
    struct plait_metalink_parser *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->xml = XML_ParserCreate_MM(NULL, &memory, NAMESPACE_MARK);
    if (p->xml == NULL) {
        free(p);
        return NULL;
    }
    XML_SetUserData(p->xml, p);
    XML_SetElementHandler(p->xml, on_start, on_end);
    XML_SetCharacterDataHandler(p->xml, on_text);
    XML_SetCommentHandler(p->xml, on_comment);
    XML_SetProcessingInstructionHandler(p->xml, on_instruction);
    XML_SetStartDoctypeDeclHandler(p->xml, on_doctype);
    return p;
}

void plait_metalink_parser_free(struct plait_metalink_parser *p)
{
    if (p == NULL)
        return;
    XML_ParserFree(p->xml);
    free(p->pieces.bytes);
    plait_metalink_done(&p->doc);
    free(p);
}

/* A token that does not end is scanned anew with every call: bounded, lest a document cost the square of its
 * length. */
static void parse(struct plait_metalink_parser *p, const char *bytes, size_t len, bool last)
{
    p->fed += len;
    if (p->fed > PLAIT_METALINK_BYTES_MAX) {
        p->err = PLAIT_ERR_LIMIT;
        return;
    }
    if (XML_Parse(p->xml, bytes, (int)len, last) == XML_STATUS_ERROR && p->err == PLAIT_OK)
        p->err = XML_GetErrorCode(p->xml) == XML_ERROR_NO_MEMORY ? PLAIT_ERR_NOMEM : PLAIT_ERR_FORMAT;
    if (p->err == PLAIT_OK && p->fed - p->fed_at_event > PLAIT_METALINK_TOKEN_MAX)
        p->err = PLAIT_ERR_LIMIT;
}

int plait_metalink_parser_feed(struct plait_metalink_parser *p, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0 && p->err == PLAIT_OK) {
        size_t now = len < FEED_MAX ? len : FEED_MAX;
        parse(p, at, now, false);
        at += now;
        len -= now;
    }
    return p->err;
}

int plait_metalink_parser_finish(struct plait_metalink_parser *p, struct plait_metalink *out)
{
    if (p->err == PLAIT_OK)
        parse(p, "", 0, true);
    if (p->err == PLAIT_OK && p->doc.file_count == 0)
        p->err = PLAIT_ERR_FORMAT;
    if (p->err != PLAIT_OK)
        return p->err;
    *out = p->doc;
    p->doc = (struct plait_metalink){0};
    p->err = PLAIT_ERR_STATE;
    return PLAIT_OK;
}

int plait_metalink_parse(const void *bytes, size_t len, struct plait_metalink *out)
{
    struct plait_metalink_parser *p = plait_metalink_parser_new();

    if (p == NULL)
        return PLAIT_ERR_NOMEM;
    int err = plait_metalink_parser_feed(p, bytes, len);
    if (err == PLAIT_OK)
        err = plait_metalink_parser_finish(p, out);
    plait_metalink_parser_free(p);
    return err;
}

/* Drops everything up to and with `word`; to the end where it is not there. */
static void skip_past(struct plait_text *t, const char *word)
{
    while (t->len > 0 && !plait_text_take_word(t, word))
        plait_text_skip(t, 1);
}

static void skip_prolog(struct plait_text *t)
{
    plait_text_take_word(t, "\xef\xbb\xbf");
    for (;;) {
        plait_text_skip_space(t);
        if (plait_text_take_word(t, "<?"))
            skip_past(t, "?>");
        else if (plait_text_take_word(t, "<!--"))
            skip_past(t, "-->");
        else if (!plait_text_take_char(t, '\n') && !plait_text_take_char(t, '\r'))
            return;
    }
}

bool plait_metalink_sniff(const void *bytes, size_t len)
{
    struct plait_text t = plait_text_of(bytes, len);

    skip_prolog(&t);
    if (!plait_text_take_char(&t, '<'))
        return false;
    size_t end = 0;
    while (end < t.len && strchr(" \t\r\n/>", t.at[end]) == NULL)
        end++;
    if (end == t.len)
        return false;
    struct plait_text name = plait_text_first(t, end);
    size_t colon = plait_text_find(name, ':');
    plait_text_skip(&name, colon < name.len ? colon + 1 : 0);
    return plait_text_take_word(&name, "metalink") && name.len == 0;
}
