#include "err.h"

const char *plait_err_name(int err)
{
    switch ((enum plait_err)err) {
    case PLAIT_OK:
        return "ok";
    case PLAIT_ERR_NOMEM:
        return "out of memory";
    case PLAIT_ERR_ARG:
        return "bad argument";
    case PLAIT_ERR_TRUNC:
        return "truncated";
    case PLAIT_ERR_FORMAT:
        return "malformed";
    case PLAIT_ERR_RANGE:
        return "out of range";
    case PLAIT_ERR_LIMIT:
        return "over a limit";
    case PLAIT_ERR_NOTFOUND:
        return "not found";
    case PLAIT_ERR_IO:
        return "input/output error";
    case PLAIT_ERR_CORRUPT:
        return "corrupt";
    case PLAIT_ERR_STATE:
        return "wrong state";
    }
    return "unknown error";
}
