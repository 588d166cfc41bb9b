#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "docroot.h"
#include "units.h"

static char place[] = "/tmp/plait-docroot-XXXXXX";

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, path, strlen(path)), strlen(path));
    close(fd);
}

/* PLACE/outside and PLACE/root, in which a, dir/b, fifo, and links in and out. */
static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(place) == NULL || chdir(place) != 0 || mkdir("root", 0755) != 0 ||
        mkdir("root/dir", 0755) != 0)
        return -1;
    make_file("outside");
    make_file("root/a");
    make_file("root/dir/b");
    return mkfifo("root/fifo", 0644) != 0 || symlink("a", "root/in") != 0 ||
           symlink("dir", "root/dirin") != 0 || symlink("../outside", "root/out") != 0 ||
           symlink("..", "root/up") != 0 || symlink("/tmp", "root/tmp") != 0 ||
           symlink("self", "root/self") != 0 || symlink("/dev/null", "root/null") != 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    return chdir("/") != 0 || nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0;
}

static int try_open(const struct plait_docroot *root, const char *path)
{
    struct stat st = {.st_size = -1};
    int fd = -7;
    int rc = plait_docroot_open(root, path, &fd, &st);

    if (rc == PLAIT_OK) {
        assert_true(fd >= 0 && st.st_size >= 0);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(fd);
    } else {
        assert_true(fd == -7 && st.st_size == -1);
    }
    return rc;
}

static void what_is_there(void **state)
{
    static const char *const there[] = {"", "a", "dir", "dir/b"};
    static const char *const missing[] = {"c",          "dir/c", "a/b",  "out",  "up",
                                          "up/outside", "tmp",   "self", "null", "dir/../a/b"};
    struct plait_docroot root;
    char name[300];

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int stepwise = 0; stepwise < 2; stepwise++) {
        assert_int_equal(plait_docroot_init(&root, "root"), PLAIT_OK);
        root.stepwise = stepwise || root.stepwise;
        for (size_t i = 0; i < PLAIT_COUNT(there); i++)
            assert_int_equal(try_open(&root, there[i]), PLAIT_OK);
        for (size_t i = 0; i < PLAIT_COUNT(missing); i++)
            assert_int_equal(try_open(&root, missing[i]), PLAIT_ERR_NOTFOUND);
        assert_int_equal(try_open(&root, name), PLAIT_ERR_NOTFOUND);
        assert_int_equal(try_open(&root, "fifo"), PLAIT_ERR_STATE);
        plait_docroot_done(&root);
    }
}

static void links_that_stay(void **state)
{
    struct plait_docroot root;
    struct stat st;

    (void)state;
    assert_int_equal(plait_docroot_init(&root, "root"), PLAIT_OK);
    bool kernel = !root.stepwise;
    assert_int_equal(try_open(&root, "in"), kernel ? PLAIT_OK : PLAIT_ERR_NOTFOUND);
    assert_int_equal(try_open(&root, "dirin/b"), kernel ? PLAIT_OK : PLAIT_ERR_NOTFOUND);
    root.stepwise = true;
    assert_int_equal(try_open(&root, "in"), PLAIT_ERR_NOTFOUND);
    assert_int_equal(try_open(&root, "dirin/b"), PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_docroot_stat(&root, "in", &st), PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_docroot_stat(&root, "..", &st), PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_docroot_stat(&root, "fifo", &st), PLAIT_OK);
    assert_true(S_ISFIFO(st.st_mode));
    plait_docroot_done(&root);
}

static void what_cannot_be_a_root(void **state)
{
    struct plait_docroot root;

    (void)state;
    assert_int_equal(plait_docroot_init(&root, "nowhere"), PLAIT_ERR_IO);
    assert_int_equal(plait_docroot_init(&root, "outside"), PLAIT_ERR_IO);
    plait_docroot_done(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there),
        cmocka_unit_test(links_that_stay),
        cmocka_unit_test(what_cannot_be_a_root),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
