#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd_key.h"
#include "key.h"
#include "key_file.h"
#include "say.h"
#include "secret_file.h"
#include "self.h"

#define DONE   0
#define FAILED 1
#define USAGE  2

static const char help[] =
    "usage: plait key new [-o FILE]\n"
    "       plait key public [FILE|-]\n"
    "\n"
    "Keys of the tunnel: a private one, which nobody else may see, and the public one that belongs to it, "
    "which "
    "the\n"
    "other end is told. Both are a line of base64, as wg genkey and wg pubkey write them.\n"
    "\n"
    "  new                print a new private key\n"
    "  new -o FILE        write it to FILE, which must not be there yet, and print its public key\n"
    "  public             read a private key from standard input, and print its public key\n"
    "  public FILE        the same from a file; nobody but its owner may be able to read it\n"
    "\n"
    "  -o, --output FILE  see above\n"
    "  -h, --help         this\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 bad usage. See plait-key(1).\n";

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* A result that did not get out is none. */
static int print_key(const struct plait_key *key)
{
    char text[PLAIT_KEY_TEXT + 1];

    plait_key_format(key, text);
    bool done = puts(text) >= 0 && fflush(stdout) == 0;
    plait_wipe(text, sizeof text);
    if (!done)
        plait_say("standard output: %s", strerror(errno));
    return done ? DONE : FAILED;
}

static void warn_of_readers(void)
{
    struct stat st;

    if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        plait_say(
            "others may read the file that this private key is written to (mode %04o): chmod 600, or use -o",
            (unsigned)st.st_mode & 07777);
}

static int write_key(const struct plait_identity *id, const char *path)
{
    return plait_key_file_write(path, &id->secret) == PLAIT_OK ? print_key(&id->public) : FAILED;
}

static int new_key(const char *path)
{
    struct plait_identity id;
    struct plait_key secret = {{0}};
    int status = FAILED;

    plait_random_fill(&plait_kernel_random, secret.bytes, sizeof secret.bytes);
    plait_key_clamp(&secret);
    if (plait_identity_init(&id, &secret) != PLAIT_OK) {
        plait_say("out of memory");
    } else if (path != NULL) {
        status = write_key(&id, path);
    } else {
        warn_of_readers();
        status = print_key(&id.secret);
    }
    plait_wipe(&secret, sizeof secret);
    plait_wipe(&id, sizeof id);
    return status;
}

/* Up to `size` bytes; whether all that there was has been read. */
static bool read_input(char *out, size_t size, size_t *len)
{
    ssize_t n = 1;

    *len = 0;
    while (*len < size && n > 0) {
        n = read(STDIN_FILENO, out + *len, size - *len);
        if (n < 0 && errno != EINTR)
            return false;
        *len += n > 0 ? (size_t)n : 0;
        n = n < 0 ? 1 : n;
    }
    if (*len == size)
        errno = EFBIG;
    return *len < size;
}

static int read_key_from_input(struct plait_identity *out)
{
    char text[PLAIT_SECRET_FILE_MAX];
    struct plait_key secret = {{0}};
    unsigned line = 0;
    size_t len;

    if (!read_input(text, sizeof text, &len)) {
        plait_say("standard input: %s", strerror(errno));
        return PLAIT_ERR_IO;
    }
    int err = plait_key_parse_file(text, len, &secret, &line);
    if (err == PLAIT_ERR_NOTFOUND)
        plait_say("standard input: there is no key in it");
    else if (err != PLAIT_OK)
        plait_say("standard input, line %u: not a key: 44 characters of base64, as plait key new writes them",
                  line);
    else if ((err = plait_identity_init(out, &secret)) != PLAIT_OK)
        plait_say("out of memory");
    plait_wipe(text, sizeof text);
    plait_wipe(&secret, sizeof secret);
    return err;
}

static int public_key(const char *path)
{
    struct plait_identity id;
    int err =
        path == NULL || strcmp(path, "-") == 0 ? read_key_from_input(&id) : plait_self_read_key(path, &id);

    if (err != PLAIT_OK)
        return FAILED;
    int status = print_key(&id.public);
    plait_wipe(&id, sizeof id);
    return status;
}

static int bad_usage(void)
{
    plait_say("see plait key --help");
    return USAGE;
}

static int run(const char *what, const char *output, int count, char **words)
{
    bool is_new = strcmp(what, "new") == 0;

    if (!is_new && strcmp(what, "public") != 0) {
        plait_say("%s: what is that? There are new and public", what);
        return bad_usage();
    }
    if (count > !is_new) {
        plait_say("%s: what is that?%s", words[!is_new], is_new ? " A file is given by -o" : "");
        return bad_usage();
    }
    if (!is_new && output != NULL) {
        plait_say("-o goes with new: a public key is no secret, and is printed");
        return bad_usage();
    }
    return is_new ? new_key(output) : public_key(count > 0 ? words[0] : NULL);
}

int plait_cmd_key(int argc, char **argv)
{
    const char *output = NULL;
    int option;

    plait_say_as("plait key");
    optind = 0;
    argv[0] = (char *)"plait key";
    while ((option = getopt_long(argc, argv, "o:h", long_options, NULL)) != -1) {
        if (option == 'h')
            return fputs(help, stdout) >= 0 && fflush(stdout) == 0 ? DONE : FAILED;
        if (option != 'o')
            return bad_usage(); /* getopt has said so */
        output = optarg;
    }
    if (optind == argc) {
        plait_say("what to do? new or public");
        return bad_usage();
    }
    return run(argv[optind], output, argc - optind - 1, argv + optind + 1);
}
