#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "direct_int.h"

#define WINDOW_MS UINT64_C(120000) /* that the clocks of a server and a director may differ */

static uint64_t unix_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int unauthorized(struct plait_request *r, const char *words)
{
    static const struct plait_web_field challenge = {"WWW-Authenticate", "Plait-HMAC"};
    json_t *o = json_pack("{s:s, s:I}", "error", words, "time_ms", (json_int_t)unix_ms());

    plait_direct_answer(r, 401, o, &challenge, 1);
    return PLAIT_ERR_STATE;
}

static bool is_in_time(const struct plait_signature *s)
{
    uint64_t now = unix_ms();

    return s->time_ms + WINDOW_MS >= now && s->time_ms <= now + WINDOW_MS;
}

/* A name that is not known costs as much time as one that is. */
static bool is_genuine(const struct plait_direct *d, struct plait_request *r, const struct plait_signature *s)
{
    const struct plait_secret *secret = plait_secrets_find(&d->secrets, s->key);
    const struct plait_secret *any = secret != NULL ? secret : &d->secrets.all[0];

    return plait_sign_verify(any, s, plait_request_method(r), plait_request_target(r)) && secret != NULL;
}

int plait_direct_authenticate(struct plait_direct *d, struct plait_request *r,
                              struct plait_signature *signature, char owner[PLAIT_REGISTRATION_OWNER_MAX + 1])
{
    const char *field = plait_request_field(r, "Authorization");
    char name[128];

    memset(signature, 0, sizeof *signature);
    if (plait_request_certificate(r, name)[0] != '\0') {
        snprintf(owner, PLAIT_REGISTRATION_OWNER_MAX + 1, "cert:%s", name);
        return PLAIT_OK;
    }
    if (d->secrets.count == 0)
        return unauthorized(r, "a client certificate is needed");
    int err = plait_sign_parse(field, signature);
    if (err == PLAIT_ERR_NOTFOUND)
        return unauthorized(r, "the request is not signed");
    if (err != PLAIT_OK)
        return unauthorized(r, "the signature is malformed");
    if (!is_genuine(d, r, signature))
        return unauthorized(r, "the signature is wrong");
    if (!is_in_time(signature))
        return unauthorized(r, "the signature's time is not ours: is a clock wrong?");
    snprintf(owner, PLAIT_REGISTRATION_OWNER_MAX + 1, "key:%s", signature->key);
    return PLAIT_OK;
}
