#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hub.h"
#include "hub_settings.h"
#include "say.h"
#include "self.h"
#include "token.h"

static int make_key(struct plait_identity *out)
{
    struct plait_key secret = {{0}};

    plait_random_fill(&plait_kernel_random, secret.bytes, sizeof secret.bytes);
    plait_key_clamp(&secret);
    int err = plait_identity_init(out, &secret);
    plait_wipe(&secret, sizeof secret);
    return err;
}

static bool endpoint_is_good(const char *text)
{
    struct plait_config_endpoint e;

    return plait_config_parse_endpoint(text, PLAIT_HUB_PORT, &e) == PLAIT_OK;
}

static bool lan_is_good(const char *text)
{
    char *end;

    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && v <= UINT32_MAX;
}

static bool is_nobodys(const struct plait_hub_settings *s, const struct plait_prefix *p)
{
    size_t len = p->family == AF_INET ? 4 : 16;

    for (size_t i = 0; i < s->node_count; i++)
        if (memcmp(p->address, p->family == AF_INET ? s->nodes[i].v4 : s->nodes[i].v6, len) == 0)
            return false;
    return true;
}

static bool addresses_are_good(const struct plait_hub_settings *s, const char *text)
{
    char word[PLAIT_CONFIG_LINE_MAX + 1];
    struct plait_prefix p;
    bool any = false;

    for (int err; (err = plait_config_word(&text, word, sizeof word)) != PLAIT_ERR_NOTFOUND; any = true)
        if (err != PLAIT_OK || plait_hub_settings_address(s, word, &p) != NULL || !is_nobodys(s, &p))
            return false;
    return any;
}

/* As the section will be read, so that a typing error does not wait for the hub. */
static int check_section(const struct plait_hub_add_options *o, const struct plait_hub_settings *s)
{
    if (o->lan != NULL && !lan_is_good(o->lan)) {
        plait_say("--lan %s: a number from 0 to 4294967295", o->lan);
        return PLAIT_ERR_FORMAT;
    }
    if (o->address != NULL && !addresses_are_good(s, o->address)) {
        plait_say("--address %s: an address of the hub's network that nobody has yet (network =)",
                  o->address);
        return PLAIT_ERR_FORMAT;
    }
    return PLAIT_OK;
}

static int check(const struct plait_hub_add_options *o, const struct plait_hub_settings *s,
                 const char **endpoint)
{
    if (!plait_hello_name_is_good(o->name, strlen(o->name)) || strlen(o->name) > PLAIT_CONFIG_LABEL_MAX) {
        plait_say("%s: a name is made of at most %d letters, digits, . _ -", o->name, PLAIT_CONFIG_LABEL_MAX);
        return PLAIT_ERR_FORMAT;
    }
    for (size_t i = 0; i < s->node_count; i++)
        if (strcmp(s->nodes[i].name, o->name) == 0) {
            plait_say("there is a [node \"%s\"] already", o->name);
            return PLAIT_ERR_STATE;
        }
    *endpoint = o->public_endpoint != NULL ? o->public_endpoint : s->public_endpoint;
    if ((*endpoint)[0] == '\0') {
        plait_say(
            "where do nodes reach this hub? Say it by --hub HOST:PORT, or public = in the configuration");
        return PLAIT_ERR_NOTFOUND;
    }
    if (endpoint_is_good(*endpoint))
        return check_section(o, s);
    plait_say("%s: not HOST:PORT", *endpoint);
    return PLAIT_ERR_FORMAT;
}

/* The token is no part of a configuration: whoever appends standard output to one has it before his eyes alone. */
static void print_token(const char *name, const char *text)
{
    bool at_once = isatty(STDOUT_FILENO) != 0;

    fprintf(stderr, "%sOn %s, as root (keep it secret: whoever has this token is %s):\nplait node join %s\n",
            at_once ? "\n" : "", name, name, text);
}

static int print(const struct plait_hub_add_options *o, const struct plait_identity *hub,
                 const struct plait_identity *node, const char *endpoint)
{
    char text[PLAIT_TOKEN_TEXT_MAX], key[PLAIT_KEY_TEXT + 1];
    struct plait_token token = {0};

    if (strlen(endpoint) >= sizeof token.hub || strlen(o->name) >= sizeof token.name)
        return PLAIT_ERR_LIMIT;
    memcpy(token.hub, endpoint, strlen(endpoint) + 1);
    memcpy(token.name, o->name, strlen(o->name) + 1);
    memcpy(token.hub_key, hub->public.bytes, sizeof token.hub_key);
    memcpy(token.key, node->secret.bytes, sizeof token.key);
    int err = plait_token_encode(&token, text);
    plait_wipe(&token, sizeof token);
    if (err != PLAIT_OK)
        return err;
    plait_key_format(&node->public, key);
    printf("\n[node \"%s\"]\nkey = %s\n", o->name, key);
    if (o->lan != NULL)
        printf("lan = %s\n", o->lan);
    if (o->address != NULL)
        printf("address = %s\n", o->address);
    err = fflush(stdout) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
    if (err == PLAIT_OK)
        print_token(o->name, text);
    plait_wipe(text, sizeof text);
    return err;
}

int plait_hub_add(const struct plait_hub_add_options *options)
{
    struct plait_hub_settings *settings = NULL;
    struct plait_identity hub, node;
    char error[PLAIT_HUB_ERROR_MAX];
    const char *endpoint;

    plait_say_as("plait hub");
    if (plait_hub_settings_read(options->config, &settings, error) != PLAIT_OK) {
        plait_say("%s", error);
        return PLAIT_HUB_USAGE;
    }
    int err = check(options, settings, &endpoint), status = PLAIT_HUB_USAGE;
    if (err == PLAIT_OK && plait_self_read_key(settings->key_file, &hub) == PLAIT_OK) {
        err = make_key(&node);
        if (err == PLAIT_OK)
            err = print(options, &hub, &node, endpoint);
        if (err != PLAIT_OK)
            plait_say("%s", plait_reason(err));
        status = err == PLAIT_OK ? PLAIT_HUB_DONE : PLAIT_HUB_FAILED;
    }
    plait_wipe(&hub, sizeof hub);
    plait_wipe(&node, sizeof node);
    plait_hub_settings_free(settings);
    return status;
}
