#include "session.h"
#include "control.h"
#include "engine.h"
#include "lay.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void block_signals(void)
{
    const int blocked[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++)
        sigaddset(&set, blocked[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Standard output must not be held open by a process in the background: its reader would wait for ever. */
static void let_go(const char *id, bool detached)
{
    char path[LAB_PATH_MAX];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    fflush(NULL);
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    close(null);
    if (!detached)
        return;
    lab_state_path(path, id, "log");
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log >= 0) {
        dup2(log, STDERR_FILENO);
        close(log);
    }
}

static void write_account(const struct lab_engine *e, const char *path)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    FILE *out = fopen(path, "we");
    if (out)
        lab_control_write_stats(e, (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec, out);
    if (!out || fclose(out))
        fprintf(stderr, "plait-lab: cannot write %s: %m\n", path);
}

struct child {
    const struct lab_topology *topology;
    const struct lab_session_options *options;
    const char *id;
    int owner_fd[2]; /* as the engine wants them */
    int ready_fd;    /* gets a byte when all is laid and the emulation about to begin */
};

static int emulate(const struct child *c)
{
    int tun_fd[LAB_LINKS_MAX][2];
    char control_path[LAB_PATH_MAX];
    struct lab_engine *e = malloc(sizeof *e);
    int err = e ? lab_lay(c->topology, c->id, tun_fd, c->options->verbose ? stdout : NULL) : PLAIT_ERR_NOMEM;
    lab_state_path(control_path, c->id, "control");
    if (!err)
        err = lab_engine_init(e, c->topology, c->id, tun_fd, c->owner_fd, control_path);
    if (err) {
        free(e);
        return err;
    }
    let_go(c->id, c->options->detached);
    if (write(c->ready_fd, "", 1) != 1)
        err = PLAIT_ERR_IO;
    close(c->ready_fd);
    if (!err)
        err = lab_engine_run(e);
    if (!err && c->options->stats_path)
        write_account(e, c->options->stats_path);
    lab_engine_done(e);
    free(e);
    return err;
}

static _Noreturn void be_child(const struct child *c)
{
    setsid();
    int err = emulate(c);
    lab_state_clear(c->id);
    exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int wait_until_ready(int ready_fd)
{
    char byte;
    return read(ready_fd, &byte, 1) == 1 ? 0 : PLAIT_ERR_STATE;
}

/* An absolute path, as the child may outlive the directory that the owner was started in. */
static int absolute(const char *path, char out[4096])
{
    if (path[0] == '/')
        return snprintf(out, 4096, "%s", path) < 4096 ? 0 : PLAIT_ERR_LIMIT;
    char *here = getcwd(NULL, 0);
    int n = here ? snprintf(out, 4096, "%s/%s", here, path) : -1;
    free(here);
    return n > 0 && n < 4096 ? 0 : PLAIT_ERR_LIMIT;
}

static int fork_child(struct lab_session *s, struct child *c)
{
    int owner[2], ready[2];
    if (pipe2(owner, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
        return PLAIT_ERR_IO;
    fflush(NULL);
    s->pid = fork();
    if (s->pid < 0)
        return PLAIT_ERR_IO;
    if (s->pid == 0) {
        close(owner[1]);
        close(ready[0]);
        c->owner_fd[0] = owner[0];
        c->ready_fd = ready[1];
        be_child(c);
    }
    close(owner[0]);
    close(ready[1]);
    s->owner_fd = owner[1];
    int err = wait_until_ready(ready[0]);
    close(ready[0]);
    return err;
}

int lab_session_start(struct lab_session *s, const struct lab_topology *topology,
                      const struct lab_session_options *options)
{
    char stats_path[4096];
    struct lab_session_options opts = *options;
    if (options->stats_path) {
        if (absolute(options->stats_path, stats_path))
            return PLAIT_ERR_ARG;
        opts.stats_path = stats_path;
    }
    int owner_pidfd = options->owner ? (int)syscall(SYS_pidfd_open, options->owner, 0) : -1;
    if (options->owner && owner_pidfd < 0) {
        fprintf(stderr, "plait-lab: no process %d to belong to: %m\n", options->owner);
        return PLAIT_ERR_ARG;
    }
    block_signals();
    int err = lab_state_claim(&s->state, options->id);
    if (err)
        return err;
    struct child child = {
        .topology = topology, .options = &opts, .id = s->state.id, .owner_fd = {-1, owner_pidfd}};
    s->pid = -1;
    s->owner_fd = -1;
    err = fork_child(s, &child);
    if (owner_pidfd >= 0)
        close(owner_pidfd);
    if (err)
        lab_session_end(s);
    return err;
}

int lab_session_detach(struct lab_session *s)
{
    return write(s->owner_fd, "", 1) == 1 ? 0 : PLAIT_ERR_IO;
}

void lab_session_end(struct lab_session *s)
{
    int status = 0;
    if (s->owner_fd >= 0)
        close(s->owner_fd);
    if (s->pid > 0)
        waitpid(s->pid, &status, 0);
    if (s->pid <= 0 || !WIFEXITED(status))
        lab_state_clear(s->state.id); /* it could not do so itself */
}
