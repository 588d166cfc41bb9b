#include "run.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    GRACE_S = 3, /* from the first signal to the kill */
};

static void set_variable(const char *name, const char *value, FILE *out)
{
    if (setenv(name, value, 1))
        abort();
    if (out)
        fprintf(out, "export %s=%s\n", name, value);
}

void lab_run_environment(const char *id, const struct lab_topology *topology, FILE *out)
{
    char name[64], value[LAB_PATH_MAX + LAB_NETNS_MAX];
    set_variable("PLAIT_LAB", id, out);
    lab_state_path(value, id, "control");
    set_variable("PLAIT_LAB_CONTROL", value, out);
    for (size_t i = 0; i < topology->host_count; i++) {
        snprintf(name, sizeof name, "PLAIT_NS_%s", topology->host[i].name);
        lab_netns_name(value, id, topology->host[i].name);
        set_variable(name, value, out);
    }
}

static _Noreturn void be_command(char *argv[])
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    execvp(argv[0], argv);
    fprintf(stderr, "plait-lab: cannot run %s: %m\n", argv[0]);
    _exit(errno == ENOENT ? 127 : 126);
}

static int shell_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Waits for the next signal; after the first one that asked to end, only as long as the grace lasts. */
static int next_signal(siginfo_t *info, bool ending)
{
    const struct timespec grace = {.tv_sec = GRACE_S};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    return ending ? sigtimedwait(&set, info, &grace) : sigwaitinfo(&set, info);
}

int lab_run(const struct lab_session *session, const struct lab_topology *topology, char *argv[])
{
    lab_run_environment(session->state.id, topology, NULL);
    pid_t pid = fork();
    if (pid == 0)
        be_command(argv);
    bool ending = false;
    while (pid > 0) {
        siginfo_t info = {0};
        int status = 0, sig = next_signal(&info, ending);
        if (sig < 0 && errno == EINTR)
            continue;
        if (waitpid(pid, &status, WNOHANG) == pid)
            return shell_status(status);
        bool broken =
            waitid(P_PID, (id_t)session->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0;
        if (broken && !ending)
            fprintf(stderr, "plait-lab: the emulation has ended; ending the command\n");
        if (sig < 0)
            kill(pid, SIGKILL);
        else if (broken && !ending)
            kill(pid, SIGTERM);
        else if (sig != SIGCHLD && info.si_code != SI_KERNEL) /* a terminal's Ctrl-C the command got itself */
            kill(pid, sig);
        ending = ending || broken || sig != SIGCHLD;
    }
    return EXIT_FAILURE;
}
