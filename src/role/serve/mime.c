#include "mime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "units.h"

#define FILE_SIZE_MAX (4 * PLAIT_MIB)
#define ENDING_MAX    31

/* Sorted by ending. */
static const struct plait_mime_entry ours[] = {
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"apk", "application/vnd.android.package-archive"},
    {"asc", "text/plain; charset=utf-8"},
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"bz2", "application/x-bzip2"},
    {"c", "text/plain; charset=utf-8"},
    {"conf", "text/plain; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"deb", "application/vnd.debian.binary-package"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"h", "text/plain; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/x-icon"},
    {"img", "application/octet-stream"},
    {"ini", "text/plain; charset=utf-8"},
    {"iso", "application/octet-stream"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"log", "text/plain; charset=utf-8"},
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"m4a", "audio/mp4"},
    {"m4s", "video/iso.segment"},
    {"m4v", "video/mp4"},
    {"md", "text/markdown; charset=utf-8"},
    {"meta4", "application/metalink4+xml"},
    {"metalink", "application/metalink+xml"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mkv", "video/matroska"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpd", "application/dash+xml"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"rpm", "application/x-rpm"},
    {"rst", "text/plain; charset=utf-8"},
    {"sh", "text/plain; charset=utf-8"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tgz", "application/gzip"},
    {"toml", "application/toml"},
    {"torrent", "application/x-bittorrent"},
    {"ts", "video/mp2t"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"vtt", "text/vtt; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xml", "application/xml"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

static int by_ending(const void *a, const void *b)
{
    return strcmp(((const struct plait_mime_entry *)a)->ending, ((const struct plait_mime_entry *)b)->ending);
}

static int add(struct plait_mime *m, size_t *room, const char *ending, const char *type)
{
    if (m->count == *room) {
        size_t more = *room > 0 ? *room * 2 : 1024;
        struct plait_mime_entry *grown = reallocarray(m->entries, more, sizeof *grown);
        if (grown == NULL)
            return PLAIT_ERR_NOMEM;
        m->entries = grown;
        *room = more;
    }
    m->entries[m->count++] = (struct plait_mime_entry){ending, type};
    return PLAIT_OK;
}

/* One line: a type and the endings it has. */
static int take_line(struct plait_mime *m, size_t *room, char *line)
{
    char *rest = line;
    char *type = strtok_r(line, " \t\r", &rest);
    int rc = PLAIT_OK;

    if (type == NULL || *type == '#' || strchr(type, '/') == NULL)
        return PLAIT_OK;
    for (char *word; rc == PLAIT_OK && (word = strtok_r(NULL, " \t\r", &rest)) != NULL && *word != '#';)
        rc = add(m, room, word, type);
    return rc;
}

static int take_text(struct plait_mime *m)
{
    size_t room = 0;
    char *rest = m->text;
    int rc = PLAIT_OK;

    for (char *line; rc == PLAIT_OK && (line = strsep(&rest, "\n")) != NULL;)
        rc = take_line(m, &room, line);
    if (m->count > 0)
        qsort(m->entries, m->count, sizeof *m->entries, by_ending);
    return rc;
}

int plait_mime_init(struct plait_mime *m, const char *path)
{
    size_t len;

    memset(m, 0, sizeof *m);
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return path == NULL || errno == ENOENT ? PLAIT_OK : PLAIT_ERR_IO;
    int rc = plait_read_file(fd, FILE_SIZE_MAX, (uint8_t **)&m->text, &len);
    close(fd);
    return rc == PLAIT_OK ? take_text(m) : rc;
}

void plait_mime_done(struct plait_mime *m)
{
    free(m->text);
    free(m->entries);
    memset(m, 0, sizeof *m);
}

static const char *find(const struct plait_mime_entry *entries, size_t count, const char *ending)
{
    struct plait_mime_entry key = {ending, NULL};
    const struct plait_mime_entry *hit =
        count > 0 ? bsearch(&key, entries, count, sizeof key, by_ending) : NULL;

    return hit != NULL ? hit->type : NULL;
}

const char *plait_mime_of(const struct plait_mime *m, const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash != NULL ? slash + 1 : name;
    const char *dot = strrchr(base, '.');
    size_t len = dot != NULL ? strlen(dot + 1) : 0;
    char ending[ENDING_MAX + 1];
    const char *type = NULL;

    if (dot != base && len > 0 && len <= ENDING_MAX) {
        for (size_t i = 0; i <= len; i++)
            ending[i] =
                dot[1 + i] >= 'A' && dot[1 + i] <= 'Z' ? (char)(dot[1 + i] + ('a' - 'A')) : dot[1 + i];
        type = find(ours, PLAIT_COUNT(ours), ending);
        if (type == NULL)
            type = find(m->entries, m->count, ending);
    }
    return type != NULL ? type : "application/octet-stream";
}
