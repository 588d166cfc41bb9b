#include "key_file.h"

#include <errno.h>

#include "say.h"
#include "secret_file.h"

int plait_key_file_write(const char *path, const struct plait_key *secret)
{
    char text[PLAIT_KEY_TEXT + 2];

    plait_key_format(secret, text);
    text[PLAIT_KEY_TEXT] = '\n';
    int err = plait_secret_file_write(path, text, PLAIT_KEY_TEXT + 1);
    plait_wipe(text, sizeof text);
    if (err == PLAIT_ERR_STATE)
        plait_say("%s is there already; a key is never overwritten: choose another name, or remove it first",
                  path);
    else if (err == PLAIT_ERR_IO && errno == ENOENT)
        plait_say("%s: there is no such folder: make it first, or choose another place with -o", path);
    else if (err != PLAIT_OK)
        plait_say("%s: %s", path, plait_reason(err));
    return err;
}
