#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_MAX    1024
#define FILE_MAX     ((size_t)1 << 20)
#define SECTIONS_MAX 65536

struct entry {
    const char *key; /* the kind's own */
    char *value;     /* owned */
    unsigned line;
};

struct plait_config_section {
    struct plait_config *config;
    const struct plait_config_kind *kind;
    char label[PLAIT_CONFIG_LABEL_MAX + 1];
    unsigned line;
    struct entry *entries; /* owned */
    size_t count;
};

struct plait_config {
    char *name; /* owned */
    const struct plait_config_kind *kinds;
    struct plait_config_section **sections; /* owned, each of its own memory */
    size_t count;
    char error[ERROR_MAX];
    int result; /* of reading: the first error */
    const char *at;
    unsigned line;
};

PLAIT_PRINTF(3, 4)
static void note(struct plait_config *c, unsigned line, const char *format, ...)
{
    va_list args;
    int used;

    if (c->error[0] != '\0')
        return;
    used = snprintf(c->error, sizeof c->error, line > 0 ? "%s:%u: " : "%s: ", c->name, line);
    if (used < 0 || (size_t)used >= sizeof c->error)
        return;
    va_start(args, format);
    vsnprintf(c->error + used, sizeof c->error - (size_t)used, format, args);
    va_end(args);
}

/* Of the present line, while reading. */
PLAIT_PRINTF(2, 3)
static void refuse(struct plait_config *c, const char *format, ...)
{
    char text[ERROR_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    note(c, c->line, "%s", text);
    if (c->result == PLAIT_OK)
        c->result = PLAIT_ERR_FORMAT;
}

static void append(char *list, size_t size, const char *word)
{
    size_t used = strlen(list);

    snprintf(list + used, size - used, "%s%s", used > 0 ? ", " : "", word);
}

static const char *kinds_text(const struct plait_config_kind *kinds, char *out, size_t size)
{
    char word[64];

    out[0] = '\0';
    for (; kinds->name != NULL; kinds++) {
        snprintf(word, sizeof word, kinds->labelled ? "[%s \"NAME\"]" : "[%s]", kinds->name);
        append(out, size, word);
    }
    return out;
}

static const char *keys_text(const struct plait_config_key *keys, char *out, size_t size)
{
    out[0] = '\0';
    for (; keys->name != NULL; keys++)
        append(out, size, keys->name);
    return out;
}

static bool is_label(const char *text, size_t len)
{
    if (len == 0 || len > PLAIT_CONFIG_LABEL_MAX || !isalnum((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("._-", text[i]) == NULL)
            return false;
    return true;
}

static const struct plait_config_kind *find_kind(const struct plait_config *c, const char *name, size_t len)
{
    for (const struct plait_config_kind *k = c->kinds; k->name != NULL; k++)
        if (strlen(k->name) == len && memcmp(k->name, name, len) == 0)
            return k;
    return NULL;
}

static struct plait_config_section *find_section(const struct plait_config *c,
                                                 const struct plait_config_kind *kind, const char *label)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->sections[i]->kind == kind && strcmp(c->sections[i]->label, label) == 0)
            return c->sections[i];
    return NULL;
}

static void add_section(struct plait_config *c, const struct plait_config_kind *kind, const char *label,
                        size_t label_len)
{
    struct plait_config_section *s = calloc(1, sizeof *s), **list;

    if (s == NULL) {
        c->result = PLAIT_ERR_NOMEM;
        return;
    }
    memcpy(s->label, label, label_len);
    s->config = c;
    s->kind = kind;
    s->line = c->line;
    const struct plait_config_section *before = find_section(c, kind, s->label);
    if (before != NULL)
        refuse(c, "this section is already in line %u", before->line);
    list = c->count < SECTIONS_MAX ? reallocarray(c->sections, c->count + 1, sizeof(void *)) : NULL;
    if (list == NULL) {
        c->result = PLAIT_ERR_NOMEM;
        free(s);
        return;
    }
    c->sections = list;
    list[c->count++] = s;
}

/* What is between the quotes of `KIND "LABEL"`, after the blanks; *len 0 where there is nothing. False where it
 * is something else. */
static bool take_label(const char *at, const char *end, const char **label, size_t *len)
{
    at += strspn(at, " \t");
    *label = at;
    *len = 0;
    if (at == end)
        return true;
    if (*at != '"' || end - at < 2 || end[-1] != '"')
        return false;
    *label = at + 1;
    *len = (size_t)(end - at - 2);
    return is_label(*label, *len);
}

/* A line that begins with a bracket. */
static void read_section(struct plait_config *c, const char *line)
{
    char allowed[ERROR_MAX / 2];
    const char *end = strchr(line, ']'), *name = line + 1 + strspn(line + 1, " \t"), *label;
    size_t name_len = strcspn(name, " \t\"]"), label_len;

    kinds_text(c->kinds, allowed, sizeof allowed);
    if (end == NULL) {
        refuse(c, "a section has no closing bracket; allowed: %s", allowed);
        return;
    }
    const char *rest = end + 1 + strspn(end + 1, " \t\r\n");
    const struct plait_config_kind *kind = find_kind(c, name, name_len);
    while (end > name + name_len && isblank((unsigned char)end[-1]))
        end--;
    if (*rest != '\0' && *rest != ';' && *rest != '#')
        refuse(c, "there is something behind the section's bracket");
    else if (kind == NULL)
        refuse(c, "there is no section [%.*s]; allowed: %s", (int)name_len, name, allowed);
    else if (!take_label(name + name_len, end, &label, &label_len))
        refuse(c,
               "a section's name is written [%s \"NAME\"], of at most %d letters, digits, '.', '_' and '-'",
               kind->name, PLAIT_CONFIG_LABEL_MAX);
    else if (kind->labelled != (label_len > 0))
        refuse(c,
               kind->labelled ? "the section needs a name: [%s \"NAME\"]" : "the section has no name: [%s]",
               kind->name);
    else
        add_section(c, kind, label, label_len);
}

static void add_entry(struct plait_config *c, struct plait_config_section *s, const char *key,
                      const char *value)
{
    struct entry *list = reallocarray(s->entries, s->count + 1, sizeof *list);
    char *copy = strdup(value);

    if (list != NULL)
        s->entries = list;
    if (list == NULL || copy == NULL) {
        free(copy);
        c->result = PLAIT_ERR_NOMEM;
        return;
    }
    list[s->count].key = key;
    list[s->count].value = copy;
    list[s->count++].line = c->line;
}

static const struct entry *find_entry(const struct plait_config_section *s, const char *key, size_t i)
{
    for (size_t k = 0; k < s->count; k++)
        if (strcmp(s->entries[k].key, key) == 0 && i-- == 0)
            return &s->entries[k];
    return NULL;
}

/* inih's; its name of the section is not looked at, ours has been through read_section. */
static int on_entry(void *ctx, const char *section_name, const char *name, const char *value)
{
    struct plait_config *c = ctx;
    struct plait_config_section *s = c->count > 0 ? c->sections[c->count - 1] : NULL;
    char allowed[ERROR_MAX / 2];
    const struct plait_config_key *key;
    const struct entry *before;

    (void)section_name;
    if (c->result != PLAIT_OK)
        return 1;
    if (s == NULL) {
        refuse(c, "'%s' is in no section; allowed: %s", name, kinds_text(c->kinds, allowed, sizeof allowed));
        return 1;
    }
    for (key = s->kind->keys; key->name != NULL && strcmp(key->name, name) != 0; key++)
        ;
    before = find_entry(s, name, 0);
    if (key->name == NULL)
        refuse(c, "there is no key '%s' in [%s]; allowed: %s", name, s->kind->name,
               keys_text(s->kind->keys, allowed, sizeof allowed));
    else if (value[0] == '\0')
        refuse(c, "'%s' has no value", name);
    else if (before != NULL && !key->repeated)
        refuse(c, "'%s' is already in line %u", name, before->line);
    else
        add_entry(c, s, key->name, value);
    return 1;
}

/* Gives inih one line, as fgets would, without what it might take for a continuation of the line before. */
static char *next_line(char *out, int size, void *ctx)
{
    struct plait_config *c = ctx;
    size_t len = strcspn(c->at, "\n"), skip = strspn(c->at, " \t");

    if (c->at[0] == '\0')
        return NULL;
    c->line++;
    const char *line = c->at + skip;
    size_t used = len > skip ? len - skip : 0;
    c->at += c->at[len] == '\n' ? len + 1 : len;
    if (used > 0 && (line[0] == ';' || line[0] == '#'))
        used = 0;
    if (used > PLAIT_CONFIG_LINE_MAX || used + 2 > (size_t)size) {
        refuse(c, "the line is longer than %d characters", PLAIT_CONFIG_LINE_MAX);
        used = 0;
    }
    memcpy(out, line, used);
    out[used] = '\n';
    out[used + 1] = '\0';
    if (out[0] == '[' && c->result == PLAIT_OK)
        read_section(c, out);
    return out;
}

static struct plait_config *config_new(const char *name, const struct plait_config_kind *kinds)
{
    struct plait_config *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->kinds = kinds;
    c->name = strdup(name);
    if (c->name != NULL)
        return c;
    free(c);
    return NULL;
}

static void config_scan(struct plait_config *c, const char *text)
{
    unsigned lines = 0;

    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    c->at = text;
    int bad = ini_parse_stream(next_line, c, on_entry, c);
    lines = c->line;
    if (bad == 0 || c->result != PLAIT_OK)
        return;
    c->line = bad > 0 ? (unsigned)bad : lines;
    if (bad > 0)
        refuse(c, "this is neither a [section] nor 'key = value'");
    else
        c->result = PLAIT_ERR_NOMEM;
}

int plait_config_parse(const char *name, const char *text, const struct plait_config_kind *kinds,
                       struct plait_config **out)
{
    struct plait_config *c = config_new(name, kinds);

    *out = c;
    if (c == NULL)
        return PLAIT_ERR_NOMEM;
    config_scan(c, text);
    if (c->result == PLAIT_ERR_NOMEM)
        note(c, 0, "out of memory");
    return c->result;
}

/* Returns owned, terminated, or NULL with the reason in *why. */
static char *read_all(const char *path, const char **why, int *err)
{
    FILE *f = fopen(path, "re");
    char *text = f != NULL ? malloc(FILE_MAX + 1) : NULL;
    size_t len;

    *why = strerror(errno);
    *err = f == NULL && errno == ENOENT ? PLAIT_ERR_NOTFOUND : PLAIT_ERR_IO;
    if (text != NULL) {
        len = fread(text, 1, FILE_MAX + 1, f);
        text[len <= FILE_MAX ? len : FILE_MAX] = '\0';
        bool bad = true;
        if (ferror(f))
            *why = strerror(errno);
        else if (len > FILE_MAX)
            *why = "the file is larger than a megabyte";
        else if (memchr(text, '\0', len) != NULL)
            *why = "there is a zero byte in the file";
        else
            bad = false;
        if (bad) {
            free(text);
            text = NULL;
        }
    }
    if (f != NULL)
        fclose(f);
    return text;
}

int plait_config_read(const char *path, const struct plait_config_kind *kinds, struct plait_config **out)
{
    const char *why;
    int result;
    char *text = read_all(path, &why, &result);

    if (text == NULL) {
        *out = config_new(path, kinds);
        if (*out == NULL)
            return PLAIT_ERR_NOMEM;
        note(*out, 0, "%s", why);
        return result;
    }
    result = plait_config_parse(path, text, kinds, out);
    free(text);
    return result;
}

void plait_config_free(struct plait_config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++) {
        for (size_t k = 0; k < c->sections[i]->count; k++)
            free(c->sections[i]->entries[k].value);
        free(c->sections[i]->entries);
        free(c->sections[i]);
    }
    free(c->sections);
    free(c->name);
    free(c);
}

const char *plait_config_error(const struct plait_config *c)
{
    return c->error;
}

size_t plait_config_count(const struct plait_config *c, const char *kind)
{
    size_t count = 0;

    for (size_t i = 0; i < c->count; i++)
        count += strcmp(c->sections[i]->kind->name, kind) == 0;
    return count;
}

struct plait_config_section *plait_config_section(struct plait_config *c, const char *kind, size_t i)
{
    for (size_t k = 0; k < c->count; k++)
        if (strcmp(c->sections[k]->kind->name, kind) == 0 && i-- == 0)
            return c->sections[k];
    return NULL;
}

const char *plait_config_label(const struct plait_config_section *s)
{
    return s->label;
}

const char *plait_config_text_at(const struct plait_config_section *s, const char *key, size_t i)
{
    const struct entry *e = find_entry(s, key, i);

    return e != NULL ? e->value : NULL;
}

const char *plait_config_text(const struct plait_config_section *s, const char *key)
{
    return plait_config_text_at(s, key, 0);
}

static const char *section_text(const struct plait_config_section *s, char *out, size_t size)
{
    snprintf(out, size, s->kind->labelled ? "[%s \"%s\"]" : "[%s]", s->kind->name, s->label);
    return out;
}

int plait_config_require(struct plait_config_section *s, const char *key)
{
    char where[96];

    if (find_entry(s, key, 0) != NULL)
        return PLAIT_OK;
    note(s->config, s->line, "%s needs '%s'", section_text(s, where, sizeof where), key);
    return PLAIT_ERR_NOTFOUND;
}

int plait_config_fail(struct plait_config_section *s, const char *key, size_t i, const char *format, ...)
{
    const struct entry *e = find_entry(s, key, i);
    char text[ERROR_MAX / 2];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    note(s->config, e != NULL ? e->line : s->line, "%s = %s: %s", key, e != NULL ? e->value : "", text);
    return PLAIT_ERR_FORMAT;
}

int plait_config_fail_section(struct plait_config_section *s, const char *format, ...)
{
    char text[ERROR_MAX / 2], where[96];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    note(s->config, s->line, "%s: %s", section_text(s, where, sizeof where), text);
    return PLAIT_ERR_FORMAT;
}
