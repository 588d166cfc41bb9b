#include "privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

/* Of what is kept, one must have it first: who starts with CAP_NET_ADMIN alone may not claim more. */
static int select_capabilities(bool network)
{
    bool has = capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN) == 1;

    capng_clear(CAPNG_SELECT_BOTH);
    if (network && has && capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN) != 0)
        return PLAIT_ERR_IO;
    return PLAIT_OK;
}

static int become(const struct passwd *pw)
{
    if (capng_change_id((int)pw->pw_uid, (int)pw->pw_gid, CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING) != 0)
        return PLAIT_ERR_IO;
    return geteuid() == pw->pw_uid && getegid() == pw->pw_gid ? PLAIT_OK : PLAIT_ERR_IO;
}

/* The bounding set can be made smaller by those who have CAP_SETPCAP only. */
static int stay(void)
{
    if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) == 1 && geteuid() == 0)
        return capng_apply(CAPNG_SELECT_BOTH) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
    return capng_apply(geteuid() == 0 ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
}

int plait_privileges_drop(const char *user, bool network)
{
    const struct passwd *pw = user != NULL ? getpwnam(user) : NULL;
    int err;

    if (user != NULL && pw == NULL)
        return PLAIT_ERR_NOTFOUND;
    if (pw != NULL && pw->pw_uid != geteuid() && geteuid() != 0)
        return PLAIT_ERR_STATE;
    if (capng_get_caps_process() != 0)
        return PLAIT_ERR_IO;
    err = select_capabilities(network);
    if (err == PLAIT_OK)
        err = pw != NULL && pw->pw_uid != geteuid() ? become(pw) : stay();
    if (err == PLAIT_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        err = PLAIT_ERR_IO;
    return err;
}

/* What may be called with whatever arguments. Names that an architecture does not have are left out. */
static const char *const allowed[] = {
    /* waiting, time, signals */
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "signalfd4",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "times",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sigaltstack",
    "tgkill",
    "restart_syscall",
    /* bytes */
    "read",
    "readv",
    "pread64",
    "write",
    "writev",
    "pwrite64",
    "lseek",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "pipe2",
    "fcntl",

    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    /* sockets; `socket` itself is looked at more closely */
    "bind",
    "connect",
    "listen",
    "accept",
    "accept4",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "shutdown",
    "socketpair",
    /* files */
    "open",
    "openat",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getcwd",
    "getdents64",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "ftruncate",
    "fsync",
    "fdatasync",
    "fchmod",
    "flock",
    "mkdir",
    "mkdirat",
    "umask",
    "statfs",
    "fstatfs",
    "uname",
    "sysinfo",
    /* memory and threads */
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "mlock",
    "munlock",
    "futex",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "membarrier",
    "gettid",
    "getpid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getgroups",
    "getrandom",
    "getrusage",
    "getrlimit",
    "prlimit64",
    "exit",
    "exit_group",
    "arch_prctl",
    "set_tid_address",
    "capget",
    "getcpu",
};

/* Who does these is no longer us. */
static const char *const deadly[] = {
    "execve",       "execveat",   "ptrace", "process_vm_readv", "process_vm_writev", "init_module",
    "finit_module", "kexec_load", "bpf",    "perf_event_open"};

static bool add(scmp_filter_ctx ctx, uint32_t action, const char *name)
{
    int number = seccomp_syscall_resolve_name(name), err;

    if (number == __NR_SCMP_ERROR || number < 0)
        return true;
    err = seccomp_rule_add(ctx, action, number, 0);
    return err == 0;
}

/* Threads, but no processes; glibc asks by clone3, whose arguments cannot be seen, and then by clone. */
static bool add_threads(scmp_filter_ctx ctx)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
           seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) == 0;
}

static bool add_sockets(scmp_filter_ctx ctx)
{
    static const unsigned families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, families[i])) !=
            0)
            return false;
    return true;
}

/* A terminal's input, for one, is nothing to write to. */
static bool add_ioctls(scmp_filter_ctx ctx)
{
    static const unsigned long requests[] = {
        FIONBIO,      FIONREAD,   FIOCLEX,   TCGETS,        TIOCGWINSZ,      SIOCGIFINDEX, SIOCGIFNAME,
        SIOCGIFFLAGS, SIOCGIFMTU, TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNSETQUEUE,
    };

    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, requests[i])) != 0)
            return false;
    return true;
}

/* The leak checker of a sanitizer's build stops the process from a second one, at the end. */
static bool add_sanitizer(scmp_filter_ctx ctx)
{
    static const char *const names[] = {"getdents", "ptrace",      "wait4",           "prctl",
                                        "mprotect", "personality", "process_vm_readv"};

    for (size_t i = 0; IS_SANITIZED && i < sizeof names / sizeof names[0]; i++)
        if (!add(ctx, SCMP_ACT_ALLOW, names[i]))
            return false;
    return !IS_SANITIZED || seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_VM, CLONE_VM)) == 0;
}

/* No memory that is both written and executed, and none that becomes executable. */
static bool add_memory(scmp_filter_ctx ctx)
{
    static const unsigned protections[] = {0, PROT_WRITE, PROT_EXEC};

    for (size_t i = 0; i < sizeof protections / sizeof protections[0]; i++)
        if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, protections[i])) != 0)
            return false;
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0 &&
           seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME)) == 0;
}

static bool is_traced_with(const char *name)
{
    return strcmp(name, "ptrace") == 0 || strcmp(name, "process_vm_readv") == 0;
}

static bool fill(scmp_filter_ctx ctx)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (!add(ctx, SCMP_ACT_ALLOW, allowed[i]))
            return false;
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        if (!(IS_SANITIZED && is_traced_with(deadly[i])) && !add(ctx, SCMP_ACT_KILL_PROCESS, deadly[i]))
            return false;
    return add_threads(ctx) && add_sockets(ctx) && add_ioctls(ctx) && add_memory(ctx) && add_sanitizer(ctx) &&
           seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) == 0;
}

int plait_privileges_filter(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int err;

    if (ctx == NULL)
        return PLAIT_ERR_IO;
    err = fill(ctx) ? seccomp_load(ctx) : -EINVAL;
    seccomp_release(ctx);
    if (err == 0)
        return PLAIT_OK;
    errno = -err;
    return err == -ENOSYS || err == -EOPNOTSUPP ? PLAIT_ERR_NOTFOUND : PLAIT_ERR_IO;
}
