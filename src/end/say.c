#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *speaker = "plait";

void plait_say_as(const char *who)
{
    speaker = who;
}

void plait_say(const char *format, ...)
{
    char line[1200];
    va_list args;
    int used = snprintf(line, sizeof line, "%s: ", speaker);

    va_start(args, format);
    vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    fprintf(stderr, "%s\n", line); /* in one piece, whatever other threads say */
}

void plait_say_no_start(int err)
{
    if (err == PLAIT_ERR_IO || err == PLAIT_ERR_NOMEM)
        plait_say("cannot start: %s", plait_reason(err));
    else
        plait_say("cannot start");
}

const char *plait_reason(int err)
{
    return err == PLAIT_ERR_IO ? strerror(errno) : plait_err_name(err);
}
