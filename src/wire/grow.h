/* Arrays that grow with what is read into them: never sized by a number that the input claims. */
#ifndef PLAIT_WIRE_GROW_H
#define PLAIT_WIRE_GROW_H

#include <stddef.h>
#include <stdlib.h>

/*
 * The heap array, perhaps moved, with room for one element of `size` bytes more than `count`; *room, in
 * elements, doubles where it has to. NULL without memory; then the array is as it was.
 */
static inline void *plait_grow(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    size_t more = *room > 0 ? *room * 2 : 8;
    void *grown = reallocarray(array, more, size);
    if (grown != NULL)
        *room = more;
    return grown;
}

#endif
