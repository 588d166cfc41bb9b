#include "registrar_list.h"

#include <stdlib.h>
#include <string.h>

#include "stream_name.h"

void plait_stream_list_free(struct plait_stream_list *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->count; i++) {
        free(l->all[i].name);
        free(l->all[i].sha256);
        free(l->all[i].sha512);
    }
    free(l->all);
    free(l);
}

static int compare_streams(const void *a, const void *b)
{
    return strcmp(((const struct plait_list_stream *)a)->name, ((const struct plait_list_stream *)b)->name);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_stream(const struct plait_list_stream *a, const struct plait_list_stream *b)
{
    return a->size == b->size && same_text(a->sha256, b->sha256) && same_text(a->sha512, b->sha512);
}

char *plait_copy_text(const char *text, bool *failed)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    *failed = *failed || (text != NULL && copy == NULL);
    return copy;
}

static int compare_turns(const void *a, const void *b)
{
    const struct plait_list_stream *x = a, *y = b;
    int order = compare_streams(x, y);

    return order != 0 ? order : (x->turn > y->turn) - (x->turn < y->turn);
}

/* Sorts, and keeps of those with one name the one that came last. */
static void sort_list(struct plait_stream_list *l)
{
    size_t kept = 0;

    qsort(l->all, l->count, sizeof *l->all, compare_turns);
    for (size_t i = 0; i < l->count; i++) {
        if (i + 1 < l->count && strcmp(l->all[i].name, l->all[i + 1].name) == 0) {
            free(l->all[i].name);
            free(l->all[i].sha256);
            free(l->all[i].sha512);
            continue;
        }
        l->all[kept++] = l->all[i];
    }
    l->count = kept;
}

struct plait_stream_list *plait_stream_list_copy(const struct plait_registrar_stream *streams, size_t count)
{
    struct plait_stream_list *l = calloc(1, sizeof *l);
    bool failed = false;

    if (l == NULL || (l->all = calloc(count > 0 ? count : 1, sizeof *l->all)) == NULL) {
        free(l);
        return NULL;
    }
    for (size_t i = 0; i < count && !failed; i++) {
        if (!plait_stream_name_is_good(streams[i].name, strlen(streams[i].name)))
            continue;
        struct plait_list_stream *s = &l->all[l->count++];
        s->turn = i;
        s->size = streams[i].size;
        s->name = plait_copy_text(streams[i].name, &failed);
        s->sha256 = plait_copy_text(streams[i].sha256, &failed);
        s->sha512 = plait_copy_text(streams[i].sha512, &failed);
    }
    if (failed) {
        plait_stream_list_free(l);
        return NULL;
    }
    sort_list(l);
    return l;
}

struct plait_stream_list plait_stream_list_difference(const struct plait_stream_list *want,
                                                      const struct plait_stream_list *known, bool compare)
{
    struct plait_stream_list out = {.all = calloc(want->count + 1, sizeof *out.all)};

    for (size_t i = 0, j = 0; i < want->count && out.all != NULL; i++) {
        while (j < known->count && compare_streams(&known->all[j], &want->all[i]) < 0)
            j++;
        bool there = j < known->count && compare_streams(&known->all[j], &want->all[i]) == 0;
        if (!there || (compare && !same_stream(&known->all[j], &want->all[i])))
            out.all[out.count++] = want->all[i];
    }
    return out;
}
