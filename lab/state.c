#include "state.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char state_dir[] = "/run/plait-lab";
static const char *const files[] = {"lock", "control", "log"};

void lab_state_path(char out[LAB_PATH_MAX], const char *id, const char *file)
{
    snprintf(out, LAB_PATH_MAX, "%s/%s/%s", state_dir, id, file);
}

static bool id_is_good(const char *id)
{
    size_t len = strlen(id);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)id[i]))
            return false;
    return len > 0 && len < LAB_ID_MAX;
}

/* Holds off other invocations while labs come and go; released by closing. */
static int lock_all(void)
{
    if (mkdir(state_dir, 0755) && errno != EEXIST) {
        fprintf(stderr, "plait-lab: cannot make %s (are you root?): %m\n", state_dir);
        return PLAIT_ERR_IO;
    }
    char path[LAB_PATH_MAX];
    snprintf(path, sizeof path, "%s/.lock", state_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX) == 0)
        return fd;
    fprintf(stderr, "plait-lab: cannot lock %s (are you root?): %m\n", path);
    if (fd >= 0)
        close(fd);
    return PLAIT_ERR_IO;
}

static bool is_live(const char *id)
{
    char path[LAB_PATH_MAX];
    lab_state_path(path, id, "lock");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool live = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    return live;
}

/* Calls `each` for every directory of a lab. */
static void walk(void (*each)(const char *id, bool live, void *context), void *context)
{
    DIR *dir = opendir(state_dir);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
        if (id_is_good(e->d_name))
            each(e->d_name, is_live(e->d_name), context);
    if (dir)
        closedir(dir);
}

void lab_state_clear(const char *id)
{
    char path[LAB_PATH_MAX];
    lab_netns_sweep(id);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        lab_state_path(path, id, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/%s", state_dir, id);
    if (rmdir(path) && errno != ENOENT)
        fprintf(stderr, "plait-lab: cannot remove %s: %m\n", path);
}

static void clear_if_dead(const char *id, bool live, void *context)
{
    FILE *out = context;
    if (live)
        return;
    lab_state_clear(id);
    if (out)
        fprintf(out, "cleared away lab %s\n", id);
}

int lab_state_gc(FILE *out)
{
    int all = lock_all();
    if (all < 0)
        return all;
    walk(clear_if_dead, out);
    close(all);
    return 0;
}

static int make_dir(const char *id)
{
    char path[LAB_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", state_dir, id);
    return mkdir(path, 0700);
}

/* Makes the directory of `wanted`, or of a fresh id; refuses an id that has namespaces of somebody else's. */
static int choose(struct lab_state *state, const char *wanted)
{
    unsigned dice = 0;
    do {
        if (getrandom(&dice, sizeof dice, 0) < 0)
            return PLAIT_ERR_IO;
        if (wanted)
            snprintf(state->id, sizeof state->id, "%s", wanted);
        else
            snprintf(state->id, sizeof state->id, "x%05x", dice & 0xfffff);
        bool taken = lab_netns_taken(state->id);
        if (!taken && make_dir(state->id) == 0)
            return 0;
        if (taken)
            errno = EEXIST;
    } while (errno == EEXIST && !wanted);
    return PLAIT_ERR_IO;
}

static int claim(struct lab_state *state, const char *wanted)
{
    char path[LAB_PATH_MAX];
    int err = choose(state, wanted);
    lab_state_path(path, state->id, "lock");
    state->lock_fd = err ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state->lock_fd >= 0 && flock(state->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    fprintf(stderr, "plait-lab: cannot make lab %s: %s\n", state->id,
            errno == EEXIST ? "there is one of that name" : strerror(errno));
    return PLAIT_ERR_IO;
}

int lab_state_claim(struct lab_state *state, const char *wanted)
{
    if (wanted && !id_is_good(wanted)) {
        fprintf(stderr, "plait-lab: '%s' is no id: expected letters and digits, at most %d\n", wanted,
                LAB_ID_MAX - 1);
        return PLAIT_ERR_ARG;
    }
    int all = lock_all();
    if (all < 0)
        return all;
    walk(clear_if_dead, NULL);
    int err = claim(state, wanted);
    close(all);
    return err;
}

struct live_list {
    char (*id)[LAB_ID_MAX];
    size_t count;
};

static void add_live(const char *id, bool live, void *context)
{
    struct live_list *list = context;
    if (live && list->count < LAB_STATES_MAX)
        memcpy(list->id[list->count++], id, strlen(id) + 1);
}

size_t lab_state_list(char id[][LAB_ID_MAX])
{
    struct live_list list = {.id = id};
    walk(add_live, &list);
    return list.count;
}

int lab_state_find(char id[LAB_ID_MAX], const char *wanted)
{
    char live[LAB_STATES_MAX][LAB_ID_MAX];
    if (!wanted)
        wanted = getenv("PLAIT_LAB");
    if (wanted && id_is_good(wanted) && is_live(wanted)) {
        memcpy(id, wanted, strlen(wanted) + 1);
        return 0;
    }
    size_t count = wanted ? 0 : lab_state_list(live);
    if (count == 1) {
        memcpy(id, live[0], LAB_ID_MAX);
        return 0;
    }
    if (wanted)
        fprintf(stderr, "plait-lab: no lab '%s'\n", wanted);
    else
        fprintf(stderr, "plait-lab: %s: say which with -l ID\n",
                count ? "several labs are up" : "no lab is up");
    return PLAIT_ERR_NOTFOUND;
}
