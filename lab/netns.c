#include "netns.h"
#include "units.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char netns_dir[] = "/run/netns";

static int failed(const char *what, const char *which)
{
    fprintf(stderr, "plait-lab: cannot %s %s: %m\n", what, which);
    return PLAIT_ERR_IO;
}

void lab_netns_name(char out[LAB_NETNS_MAX], const char *id, const char *host)
{
    snprintf(out, LAB_NETNS_MAX, "plait-%s-%s", id, host);
}

/* The namespace that the process began in, opened once. */
static int home_fd(void)
{
    static int fd = -1;
    if (fd < 0)
        fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd;
}

int lab_netns_enter(const char *name)
{
    char path[sizeof netns_dir + LAB_NETNS_MAX];
    snprintf(path, sizeof path, "%s/%s", netns_dir, name);
    int fd = home_fd() < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failed("open namespace", name);
    int err = setns(fd, CLONE_NEWNET) ? failed("enter namespace", name) : 0;
    close(fd);
    return err;
}

int lab_netns_leave(void)
{
    return setns(home_fd(), CLONE_NEWNET) ? failed("return to", "the first namespace") : 0;
}

static int open_tun(const char *dev)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", dev);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return failed("open", "/dev/net/tun");
    if (ioctl(fd, TUNSETIFF, &request)) {
        int err = failed("make TUN device", dev);
        close(fd);
        return err;
    }
    return fd;
}

int lab_netns_tun(const char *name, const char *dev)
{
    int err = lab_netns_enter(name);
    if (err)
        return err;
    int fd = open_tun(dev);
    err = lab_netns_leave();
    return err ? err : fd;
}

static void exec_ip(int input, const char *name, const char *family)
{
    char *in_netns[] = {(char *)"ip",     (char *)family, (char *)"-n", (char *)name,
                        (char *)"-batch", (char *)"-",    NULL};
    char *plain[] = {(char *)"ip", (char *)"-batch", (char *)"-", NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(input, STDIN_FILENO);
    execvp("ip", name ? in_netns : plain);
    fprintf(stderr, "plait-lab: cannot run ip (package iproute2): %m\n");
    _exit(127);
}

static bool write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t n = write(fd, text, left);
        if (n <= 0)
            return false;
        text += n;
        left -= (size_t)n;
    }
    return true;
}

int lab_netns_ip(const char *name, bool six, const char *lines)
{
    int input[2], status = -1;
    if (!*lines)
        return 0;
    if (pipe2(input, O_CLOEXEC))
        return failed("make", "a pipe");
    pid_t pid = fork();
    if (pid == 0)
        exec_ip(input[0], name, six ? "-6" : "-4");
    close(input[0]);
    bool written = pid > 0 && write_all(input[1], lines);
    close(input[1]);
    if (pid > 0 && waitpid(pid, &status, 0) == pid && written && status == 0)
        return 0;
    fprintf(stderr, "plait-lab: ip failed%s%s; it was told:\n%s", name ? " in " : "", name ? name : "",
            lines);
    return PLAIT_ERR_IO;
}

int lab_netns_sysctl(const char *name, const char *key, const char *value)
{
    char path[256];
    int used = snprintf(path, sizeof path, "/proc/sys/%s", key);
    for (int i = 10; i < used && i < (int)sizeof path; i++)
        if (path[i] == '.')
            path[i] = '/';
    int err = lab_netns_enter(name);
    if (err)
        return err;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || !write_all(fd, value))
        err = failed("set", key);
    if (fd >= 0)
        close(fd);
    return lab_netns_leave() ? PLAIT_ERR_IO : err;
}

/* sweeping */

struct netns_list {
    char name[LAB_NETNS_MAX][LAB_NETNS_MAX];
    struct stat stat[LAB_NETNS_MAX];
    size_t count;
};

static void list_netns(struct netns_list *list, const char *id)
{
    char prefix[LAB_NETNS_MAX], path[512];
    DIR *dir = opendir(netns_dir);
    lab_netns_name(prefix, id, "");
    list->count = 0;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && list->count < LAB_NETNS_MAX; e = readdir(dir)) {
        if (strncmp(e->d_name, prefix, strlen(prefix)) != 0 || strlen(e->d_name) >= LAB_NETNS_MAX)
            continue;
        snprintf(path, sizeof path, "%s/%s", netns_dir, e->d_name);
        memcpy(list->name[list->count], e->d_name, strlen(e->d_name) + 1);
        if (stat(path, &list->stat[list->count]) == 0)
            list->count++;
    }
    if (dir)
        closedir(dir);
}

bool lab_netns_taken(const char *id)
{
    struct netns_list *list = malloc(sizeof *list);
    if (list)
        list_netns(list, id);
    bool taken = !list || list->count > 0;
    free(list);
    return taken;
}

static bool lives_in(pid_t pid, const struct netns_list *list)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    if (stat(path, &st))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (st.st_ino == list->stat[i].st_ino && st.st_dev == list->stat[i].st_dev)
            return true;
    return false;
}

/* Sends `sig` to every process inside; returns how many there are. */
static unsigned signal_inside(const struct netns_list *list, int sig)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        pid_t pid = (pid_t)atoi(e->d_name);
        if (pid <= 1 || pid == getpid() || !lives_in(pid, list))
            continue;
        kill(pid, sig);
        count++;
    }
    if (dir)
        closedir(dir);
    return count;
}

static void end_inside(const struct netns_list *list)
{
    const struct timespec pause = {.tv_nsec = 10 * (long)PLAIT_MS};
    if (signal_inside(list, SIGTERM) == 0)
        return;
    for (int i = 0; i < 50; i++) {
        nanosleep(&pause, NULL);
        if (signal_inside(list, 0) == 0)
            return;
    }
    for (int i = 0; i < 100 && signal_inside(list, SIGKILL); i++)
        nanosleep(&pause, NULL);
}

void lab_netns_sweep(const char *id)
{
    struct netns_list *list = malloc(sizeof *list);
    if (!list)
        return;
    list_netns(list, id);
    end_inside(list);
    for (size_t i = 0; i < list->count; i++) {
        char path[sizeof netns_dir + LAB_NETNS_MAX];
        snprintf(path, sizeof path, "%s/%s", netns_dir, list->name[i]);
        umount2(path, MNT_DETACH);
        if (unlink(path) && errno != ENOENT)
            failed("remove namespace", list->name[i]);
    }
    free(list);
}
