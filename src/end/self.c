#include "self.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <uv.h>

#include "say.h"
#include "secret_file.h"
#include "units.h"

static void fill_random(void *owner, void *bytes, size_t len)
{
    uint8_t *at = bytes;

    (void)owner;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno != EINTR)
            abort(); /* a kernel without it, or a filter that forgot it: nothing may go on without */
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

const struct plait_random plait_kernel_random = {.fill = fill_random};

static void say_wrong_file(const char *path, int err)
{
    if (err == PLAIT_ERR_STATE)
        plait_say("%s: others may read it, or it is no file of ours: chmod 600 %s", path, path);
    else if (err == PLAIT_ERR_IO && errno == ENOENT)
        plait_say("%s is not there: plait key new -o %s makes a key", path, path);
    else if (err == PLAIT_ERR_LIMIT)
        plait_say("%s: too long for a key", path);
    else
        plait_say("%s: %s", path, plait_reason(err));
}

int plait_self_read_key(const char *path, struct plait_identity *out)
{
    uint8_t bytes[PLAIT_SECRET_FILE_MAX];
    struct plait_key secret;
    unsigned line = 0;
    size_t len;
    int err = plait_secret_file_read(path, bytes, &len);

    if (err != PLAIT_OK) {
        say_wrong_file(path, err);
        return err;
    }
    err = plait_key_parse_file(bytes, len, &secret, &line);
    plait_wipe(bytes, sizeof bytes);
    if (err == PLAIT_ERR_NOTFOUND)
        plait_say("%s: there is no key in it", path);
    else if (err != PLAIT_OK)
        plait_say("%s:%u: not a key: 44 characters of base64, as plait key new writes them", path, line);
    if (err != PLAIT_OK)
        return err;
    err = plait_identity_init(out, &secret);
    plait_wipe(&secret, sizeof secret);
    return err;
}

static uint64_t clock_ns(void *owner)
{
    (void)owner;
    return uv_hrtime();
}

int plait_self_init(struct plait_self *self, const char *key_file)
{
    struct plait_crypto *crypto;

    memset(self, 0, sizeof *self);
    int err = plait_self_read_key(key_file, &self->identity);
    if (err != PLAIT_OK)
        return err;
    crypto = plait_crypto_new();
    if (crypto == NULL) {
        plait_say("OpenSSL lacks an algorithm, or there is no memory");
        return PLAIT_ERR_NOMEM;
    }
    plait_aead_measure(crypto, clock_ns, NULL, &self->speeds);
    plait_crypto_free(crypto);
    while (self->instance == 0)
        plait_random_fill(&plait_kernel_random, &self->instance, sizeof self->instance);
    return PLAIT_OK;
}

void plait_self_done(struct plait_self *self)
{
    plait_wipe(self, sizeof *self);
}

struct plait_session_config plait_self_session(const struct plait_self *self, struct plait_crypto *crypto)
{
    return (struct plait_session_config){.crypto = crypto,
                                         .random = plait_kernel_random,
                                         .self = &self->identity,
                                         .instance = self->instance,
                                         .speeds = self->speeds};
}

uint64_t plait_self_wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * PLAIT_S + (uint64_t)t.tv_nsec;
}
