#include "settle.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "privileges.h"
#include "say.h"

#define FOLDER_MODE 0755

static int make_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];

    if (slash == NULL || slash == path)
        return PLAIT_ERR_NOTFOUND;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    return mkdir(folder, FOLDER_MODE) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
}

int plait_settle_control(struct plait_loop *loop, const char *path,
                         json_t *(*answer)(void *ctx, const json_t *request), void *ctx,
                         struct plait_control **out)
{
    struct plait_control_config config = {
        .loop = loop, .path = path, .group = (gid_t)-1, .answer = answer, .ctx = ctx};
    int err = plait_control_open(&config, out);

    if (err == PLAIT_ERR_IO && errno == ENOENT && make_folder_of(path) == PLAIT_OK)
        err = plait_control_open(&config, out);
    if (err == PLAIT_ERR_STATE)
        plait_say("%s: another one answers there (control =)", path);
    else if (err != PLAIT_OK)
        plait_say("%s: %s (control =)", path, plait_reason(err));
    return err;
}

int plait_settle_privileges(const char *user)
{
    int err = plait_privileges_drop(user[0] != '\0' ? user : NULL, true);

    if (err == PLAIT_ERR_NOTFOUND)
        plait_say("there is no user %s (user =)", user);
    else if (err != PLAIT_OK)
        plait_say("cannot give up privileges: %s", plait_reason(err));
    if (err != PLAIT_OK)
        return err;
    err = plait_privileges_filter();
    if (err == PLAIT_ERR_NOTFOUND)
        return PLAIT_OK; /* a kernel without seccomp */
    if (err != PLAIT_OK)
        plait_say("cannot limit system calls: %s", plait_reason(err));
    return err;
}
