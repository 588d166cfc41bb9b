#include "sink.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What stands after the last semicolon of a format, with it; "" where there is none. */
static const char *advice_of(const char *format)
{
    const char *advice = strrchr(format, ';');

    return advice != NULL ? advice : "";
}

int plait_sink_note(struct plait_sink *s, int os_errno, const char *format, ...)
{
    const char *advice = advice_of(format);
    va_list args;
    size_t len;

    s->os_errno = os_errno;
    va_start(args, format);
    vsnprintf(s->error, sizeof s->error, format, args);
    va_end(args);
    len = strlen(s->error);
    if (os_errno == 0 || len < strlen(advice))
        return PLAIT_ERR_IO;
    len -= strlen(advice);
    snprintf(s->error + len, sizeof s->error - len, ": %s%s", strerror(os_errno), advice);
    return PLAIT_ERR_IO;
}
