#include "map.h"

#include <stdlib.h>

int plait_map_init(struct plait_map *m, size_t max)
{
    size_t rows = 8;

    while (rows < 2 * max)
        rows *= 2;
    m->rows = calloc(rows, sizeof *m->rows);
    m->mask = rows - 1;
    m->count = 0;
    m->max = max;
    return m->rows != NULL ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

void plait_map_done(struct plait_map *m)
{
    free(m->rows);
    m->rows = NULL;
}

/* Where the key is, or the empty row where it would be: there always is one. */
static size_t place(const struct plait_map *m, uint64_t key)
{
    size_t at = (size_t)key & m->mask;

    while (m->rows[at].key != 0 && m->rows[at].key != key)
        at = (at + 1) & m->mask;
    return at;
}

int plait_map_add(struct plait_map *m, uint64_t key, void *value)
{
    size_t at = place(m, key);

    if (key == 0)
        return PLAIT_ERR_ARG;
    if (m->rows[at].key == key)
        return PLAIT_ERR_STATE;
    if (m->count == m->max)
        return PLAIT_ERR_LIMIT;
    m->rows[at].key = key;
    m->rows[at].value = value;
    m->count++;
    return PLAIT_OK;
}

void *plait_map_find(const struct plait_map *m, uint64_t key)
{
    const struct plait_map_row *row = &m->rows[place(m, key)];

    return key != 0 && row->key == key ? row->value : NULL;
}

void plait_map_remove(struct plait_map *m, uint64_t key)
{
    size_t hole = place(m, key);

    if (key == 0 || m->rows[hole].key != key)
        return;
    /* What was pushed on by the one that goes moves back, or it would not be found behind the gap. */
    for (size_t at = (hole + 1) & m->mask; m->rows[at].key != 0; at = (at + 1) & m->mask) {
        size_t home = (size_t)m->rows[at].key & m->mask;
        if (((at - home) & m->mask) >= ((at - hole) & m->mask)) {
            m->rows[hole] = m->rows[at];
            hole = at;
        }
    }
    m->rows[hole].key = 0;
    m->rows[hole].value = NULL;
    m->count--;
}
