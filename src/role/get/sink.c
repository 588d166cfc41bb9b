#include "sink.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int plait_sink_note(struct plait_sink *s, int os_errno, const char *format, ...)
{
    va_list args;
    size_t len;

    s->os_errno = os_errno;
    va_start(args, format);
    vsnprintf(s->error, sizeof s->error, format, args);
    va_end(args);
    len = strlen(s->error);
    if (os_errno != 0)
        snprintf(s->error + len, sizeof s->error - len, ": %s", strerror(os_errno));
    return PLAIT_ERR_IO;
}
