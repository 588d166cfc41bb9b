#include "privilege.h"

#include <cap-ng.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

static int become(const struct passwd *pw)
{
    capng_clear(CAPNG_SELECT_BOTH);
    if (capng_change_id((int)pw->pw_uid, (int)pw->pw_gid, CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING) != 0)
        return PLAIT_ERR_IO;
    return geteuid() == pw->pw_uid && getegid() == pw->pw_gid ? PLAIT_OK : PLAIT_ERR_IO;
}

static int drop_capabilities(void)
{
    capng_clear(CAPNG_SELECT_CAPS);
    return capng_apply(CAPNG_SELECT_CAPS) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
}

int plait_privilege_drop(const char *user)
{
    const struct passwd *pw = user != NULL ? getpwnam(user) : NULL;
    int rc = PLAIT_OK;

    if (user != NULL && pw == NULL)
        return PLAIT_ERR_NOTFOUND;
    if (pw != NULL && pw->pw_uid != geteuid())
        rc = geteuid() == 0 ? become(pw) : PLAIT_ERR_STATE;
    else if (geteuid() != 0)
        rc = drop_capabilities();
    if (rc == PLAIT_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        rc = PLAIT_ERR_IO;
    return rc;
}

int plait_privilege_only_read(void)
{
    capng_clear(CAPNG_SELECT_BOTH);
    if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_READ_SEARCH) != 0 ||
        capng_apply(CAPNG_SELECT_BOTH) != 0)
        return PLAIT_ERR_IO;
    return PLAIT_OK;
}
