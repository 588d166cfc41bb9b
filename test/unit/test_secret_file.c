#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "secret_file.h"

static char folder[] = "/tmp/plait-test-XXXXXX", path[64];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/secret", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void write_text(const void *text, size_t len)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void what_is_written_is_ours_alone(void **state)
{
    uint8_t got[PLAIT_SECRET_FILE_MAX];
    struct stat st;
    size_t len;
    mode_t mask = umask(0);

    (void)state;
    assert_int_equal(plait_secret_file_write(path, "secret", 6), PLAIT_OK);
    umask(mask);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(plait_secret_file_read(path, got, &len), PLAIT_OK);
    assert_int_equal(len, 6);
    assert_memory_equal(got, "secret", 6);
    assert_int_equal(plait_secret_file_write(path, "other", 5), PLAIT_ERR_STATE);
    assert_int_equal(plait_secret_file_read(path, got, &len), PLAIT_OK);
    assert_memory_equal(got, "secret", 6);
    unlink(path);
}

static void what_others_may_see_is_refused(void **state)
{
    static const mode_t bad[] = {0604, 0602, 0640, 0620, 0601, 0610};
    uint8_t got[PLAIT_SECRET_FILE_MAX];
    size_t len;

    (void)state;
    write_text("secret", 6);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(chmod(path, bad[i]), 0);
        assert_int_equal(plait_secret_file_read(path, got, &len), PLAIT_ERR_STATE);
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(plait_secret_file_read(path, got, &len), PLAIT_OK);
    unlink(path);
    assert_int_equal(plait_secret_file_read(folder, got, &len), PLAIT_ERR_STATE); /* no file */
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(plait_secret_file_read(path, got, &len), PLAIT_ERR_STATE); /* and it does not wait */
    unlink(path);
    errno = 0;
    assert_int_equal(plait_secret_file_read(path, got, &len), PLAIT_ERR_IO);
    assert_int_equal(errno, ENOENT);
}

static void too_long(void **state)
{
    uint8_t text[PLAIT_SECRET_FILE_MAX + 1] = {0}, got[PLAIT_SECRET_FILE_MAX];
    size_t len;

    (void)state;
    write_text(text, sizeof text - 1);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(plait_secret_file_read(path, got, &len), PLAIT_OK);
    assert_int_equal(len, PLAIT_SECRET_FILE_MAX);
    write_text(text, sizeof text);
    assert_int_equal(plait_secret_file_read(path, got, &len), PLAIT_ERR_LIMIT);
    unlink(path);
}

struct taken {
    char text[64]; /* the lines, each in angle brackets */
    int refuse;    /* the line of this number, from 1 */
};

static int take(void *ctx, const char *line)
{
    struct taken *t = ctx;
    size_t len = strlen(t->text);

    snprintf(t->text + len, sizeof t->text - len, "<%s>", line);
    return --t->refuse == 0 ? PLAIT_ERR_FORMAT : PLAIT_OK;
}

static int lines(const char *text, size_t len, struct taken *t, unsigned *line)
{
    write_text(text, len);
    int err = plait_secret_file_lines(path, 32, take, t, line);
    unlink(path);
    return err;
}

static void lines_of_a_file(void **state)
{
    static const char crlf[] = "# ours\n\na\r\n \n#b\n\rc\nlast", nul[] = "a\0b\n", most[33] = "";
    struct taken t = {.refuse = 0};
    unsigned line;

    (void)state;
    assert_int_equal(lines(crlf, strlen(crlf), &t, &line), PLAIT_OK);
    assert_string_equal(t.text, "<a>< ><\rc><last>");
    t = (struct taken){.refuse = 2};
    assert_int_equal(lines("a\n\nb\nc\n", 7, &t, &line), PLAIT_ERR_FORMAT);
    assert_int_equal(line, 3);
    assert_string_equal(t.text, "<a><b>");
    t = (struct taken){.refuse = 0};
    assert_int_equal(lines("", 0, &t, &line), PLAIT_OK);
    assert_int_equal(lines(nul, 4, &t, &line), PLAIT_ERR_FORMAT);
    assert_int_equal(line, 0);
    assert_int_equal(lines(most, 33, &t, &line), PLAIT_ERR_LIMIT);
    assert_string_equal(t.text, "");
    errno = 0;
    assert_int_equal(plait_secret_file_lines(path, 32, take, &t, &line), PLAIT_ERR_IO);
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_ours_alone),
        cmocka_unit_test(what_others_may_see_is_refused),
        cmocka_unit_test(too_long),
        cmocka_unit_test(lines_of_a_file),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
