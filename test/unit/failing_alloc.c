#include "failing_alloc.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static long left = -1;
static bool happened;

void failing_alloc_after(long good)
{
    left = good;
    happened = false;
}

bool failing_alloc_happened(void)
{
    return happened;
}

static bool fails(void)
{
    if (left < 0 || left-- > 0)
        return false;
    happened = true;
    return true;
}

#define WRAP(result, name, params, args)                                                                     \
    result __real_##name params;                                                                             \
    result __wrap_##name params;                                                                             \
    result __wrap_##name params                                                                              \
    {                                                                                                        \
        return fails() ? NULL : __real_##name args;                                                          \
    }

WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, (void *old, size_t size), (old, size))
WRAP(void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size))
WRAP(char *, strdup, (const char *s), (s))
WRAP(char *, strndup, (const char *s, size_t len), (s, len))
