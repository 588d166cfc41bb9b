#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "err.h"
#include "plait_field.h"
#include "quantity.h"
#include "units.h"

#define WIDTH_USUAL 80u
#define WIDTH_MAX   400u
#define ROWS_USUAL  24u
#define BAR_MAX     30u
#define FRAME_MAX   (64 * 1024)

/* What will be written in one go, so that nothing flickers. */
struct frame {
    size_t len;
    unsigned lines, width;
    char text[FRAME_MAX];
};

static void put(struct frame *f, const char *bytes, size_t len)
{
    if (len > sizeof f->text - f->len)
        return;
    memcpy(f->text + f->len, bytes, len);
    f->len += len;
}

/* One line, cut to the width, with nothing in it that a terminal could take for a command. */
static void put_line(struct frame *f, const char *format, ...) PLAIT_PRINTF(2, 3);

static void put_line(struct frame *f, const char *format, ...)
{
    char line[WIDTH_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(line, f->width < sizeof line ? f->width : sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c != '\0'; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    put(f, "\r", 1);
    put(f, line, strlen(line));
    put(f, "\033[K\n", 4);
    f->lines++;
}

static void get_size(unsigned *width, unsigned *rows)
{
    struct winsize size = {0};

    *width = WIDTH_USUAL;
    *rows = ROWS_USUAL;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0)
        return;
    if (size.ws_col >= 10)
        *width = size.ws_col;
    if (size.ws_row >= 2)
        *rows = size.ws_row;
}

static double share_of(uint64_t part, uint64_t whole)
{
    return whole > 0 && whole != PLAIT_FETCH_UNKNOWN ? (double)part / (double)whole : 0;
}

static const char *bar(double share, unsigned width, char out[BAR_MAX + 3])
{
    unsigned cells = width / 4 < BAR_MAX ? width / 4 : BAR_MAX;
    unsigned full = (unsigned)(share * cells + 0.5);

    out[0] = '[';
    for (unsigned i = 0; i < cells; i++)
        out[1 + i] = i < full ? '=' : i == full && share > 0 ? '>' : ' ';
    out[1 + cells] = ']';
    out[2 + cells] = '\0';
    return out;
}

static const char *phase_word(enum plait_get_phase phase)
{
    switch (phase) {
    case PLAIT_GET_PHASE_START:
        return "starting";
    case PLAIT_GET_PHASE_CHECK:
        return "reading what is there";
    case PLAIT_GET_PHASE_VERIFY:
        return "verifying";
    case PLAIT_GET_PHASE_STORE:
        return "writing to disk";
    case PLAIT_GET_PHASE_FETCH:
    case PLAIT_GET_PHASE_END:
        break;
    }
    return "";
}

static const char *state_word(enum plait_fetch_path_state state)
{
    switch (state) {
    case PLAIT_FETCH_PATH_NEW:
        return "connecting";
    case PLAIT_FETCH_PATH_ACTIVE:
        return "";
    case PLAIT_FETCH_PATH_SILENT:
        return "silent";
    case PLAIT_FETCH_PATH_WAIT:
        return "waiting";
    case PLAIT_FETCH_PATH_OUT:
        return "left out";
    }
    return "";
}

static bool is_busy_with_file(const struct plait_get_progress *now)
{
    return now->phase == PLAIT_GET_PHASE_CHECK || now->phase == PLAIT_GET_PHASE_VERIFY;
}

static void put_whole(struct frame *f, const struct plait_get_progress *now)
{
    char cells[BAR_MAX + 3], done[PLAIT_QUANTITY_MAX], size[PLAIT_QUANTITY_MAX], rate[PLAIT_QUANTITY_MAX],
        left[PLAIT_QUANTITY_MAX];
    bool file = is_busy_with_file(now), known = now->fetch.size != PLAIT_FETCH_UNKNOWN;
    uint64_t part = file ? now->phase_done : now->fetch.kept_bytes,
             whole = file ? now->phase_total : now->fetch.size;
    double share = share_of(part, whole);
    const char *word = phase_word(now->phase);

    plait_quantity_bytes((double)part, done);
    plait_quantity_bytes(known || file ? (double)whole : 0, size);
    plait_quantity_bytes(now->fetch.rate, rate);
    plait_quantity_time(now->fetch.eta_ns, left);
    if (word[0] != '\0')
        put_line(f, "%3.0f%% %s %s of %s  %s  %s", share * 100, bar(share, f->width, cells), done, size, word,
                 now->output);
    else if (known)
        put_line(f, "%3.0f%% %s %s of %s  %s/s  %s%s  %s", share * 100, bar(share, f->width, cells), done,
                 size, rate, left, left[0] != '\0' ? " left" : "", now->output);
    else
        put_line(f, "     %s %s  %s/s  %s", bar(0, f->width, cells), done, rate, now->output);
}

static void put_path(struct frame *f, const struct plait_get_progress *now, const struct plait_get_path *path)
{
    char cells[BAR_MAX + 3], rate[PLAIT_QUANTITY_MAX];
    double share = share_of(path->info.kept_bytes,
                            now->fetch.kept_bytes - plait_min_u64(now->resumed, now->fetch.kept_bytes));
    const char *word = state_word(path->info.state);
    bool named = strcmp(path->route, "default") != 0;

    if (share > 1)
        share = 1;
    plait_quantity_bytes(path->info.rate, rate);
    if (path->info.state == PLAIT_FETCH_PATH_NEW && path->local[0] != '\0')
        word = "connected"; /* it has not answered, or is not needed: others are better at it */
    char letter[4] = "";
    if (path->info.letter >= 0 && path->info.streams > 0)
        snprintf(letter, sizeof letter, "%c  ", plait_letter((uint8_t)path->info.letter));
    put_line(f, "%3.0f%% %s %9s/s  %s%s%s%s%s%s", share * 100, bar(share, f->width, cells), rate, letter,
             word, word[0] != '\0' ? "  " : "", named ? path->route : "", named ? "  " : "", path->source);
}

static void draw_bars(struct plait_progress *p, const struct plait_get_progress *now)
{
    static struct frame f; /* large, and drawn by one thread only */
    unsigned rows;
    char up[16] = "";

    f.len = f.lines = 0;
    get_size(&f.width, &rows);
    if (p->drawn > 0)
        put(&f, up, (size_t)snprintf(up, sizeof up, "\033[%uA", p->drawn));
    put_whole(&f, now);
    if (now->pattern[0] != '\0')
        put_line(&f, "     %s", now->pattern);
    for (size_t i = 0; i < now->path_count && f.lines + 2 < rows; i++)
        put_path(&f, now, &now->paths[i]);
    put(&f, "\033[J", 3);
    p->drawn = f.lines;
    if (write(STDERR_FILENO, f.text, f.len) < 0)
        p->drawn = 0; /* nobody looks */
}

static void write_line(struct plait_progress *p, const struct plait_get_progress *now)
{
    char done[PLAIT_QUANTITY_MAX], size[PLAIT_QUANTITY_MAX], rate[PLAIT_QUANTITY_MAX],
        left[PLAIT_QUANTITY_MAX];
    bool known = now->fetch.size != PLAIT_FETCH_UNKNOWN;

    if (now->elapsed_ns < p->line_at + PLAIT_PROGRESS_LINE_NS)
        return;
    p->line_at = now->elapsed_ns;
    plait_quantity_bytes((double)now->fetch.kept_bytes, done);
    plait_quantity_bytes(known ? (double)now->fetch.size : 0, size);
    plait_quantity_bytes(now->fetch.rate, rate);
    plait_quantity_time(now->fetch.eta_ns, left);
    if (phase_word(now->phase)[0] != '\0')
        fprintf(stderr, "plait: %s\n", phase_word(now->phase));
    else if (known)
        fprintf(stderr, "plait: %.0f%%, %s of %s, %s/s%s%s%s\n",
                share_of(now->fetch.kept_bytes, now->fetch.size) * 100, done, size, rate,
                left[0] != '\0' ? ", " : "", left, left[0] != '\0' ? " left" : "");
    else
        fprintf(stderr, "plait: %s, %s/s\n", done, rate);
}

void plait_progress_init(struct plait_progress *p)
{
    *p = (struct plait_progress){.terminal = isatty(STDERR_FILENO) == 1};
}

uint64_t plait_progress_interval(const struct plait_progress *p)
{
    return p->terminal ? 100 * PLAIT_MS : PLAIT_S;
}

void plait_progress_draw(struct plait_progress *p, const struct plait_get_progress *now)
{
    if (now->phase == PLAIT_GET_PHASE_END)
        return;
    if (p->terminal)
        draw_bars(p, now);
    else
        write_line(p, now);
}

void plait_progress_clear(struct plait_progress *p)
{
    char erase[24];

    if (p->drawn == 0)
        return;
    int len = snprintf(erase, sizeof erase, "\r\033[%uA\033[J", p->drawn);
    if (write(STDERR_FILENO, erase, (size_t)len) < 0)
        return;
    p->drawn = 0;
}
