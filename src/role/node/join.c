#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "key.h"
#include "node.h"
#include "say.h"
#include "secret_file.h"
#include "token.h"

#define CONF_MAX 2048

static int say_token(int err)
{
    if (err == PLAIT_ERR_CORRUPT)
        plait_say("the token is damaged: letters were changed or lost on its way");
    else
        plait_say("that is no token, or not all of one: plait hub add prints it, a long word that begins "
                  "with plait1.");
    return PLAIT_NODE_USAGE;
}

/* The route as it will be read, so that a typing error does not wait for the node's start. */
static bool route_is_good(const char *route)
{
    struct plait_prefix prefix;
    char word[PLAIT_CONFIG_LINE_MAX + 1];
    bool any = false;

    if (strcmp(route, "default") == 0 || strcmp(route, "none") == 0)
        return true;
    for (int err; (err = plait_config_word(&route, word, sizeof word)) != PLAIT_ERR_NOTFOUND; any = true)
        if (err != PLAIT_OK || plait_config_parse_prefix(word, &prefix) != PLAIT_OK)
            return false;
    return any;
}

static int write_conf(const char *path, const struct plait_token *t, const char *key_path, const char *route)
{
    char text[CONF_MAX], hub_key[PLAIT_KEY_TEXT + 1];
    struct plait_key key;

    memcpy(key.bytes, t->hub_key, sizeof key.bytes);
    plait_key_format(&key, hub_key);
    int len =
        snprintf(text, sizeof text,
                 "[node]\n"
                 "name = %s\n"
                 "key = %s\n"
                 "hub = %s\n"
                 "hub-key = %s\n"
                 "route = %s\n"
                 "\n"
                 "; One section for each uplink. Without any, all goes wherever the system's routes lead.\n"
                 "; [uplink \"dsl\"]\n"
                 "; interface = eth1\n",
                 t->name, key_path, t->hub, hub_key, route);
    if (len < 0 || (size_t)len >= sizeof text)
        return PLAIT_ERR_LIMIT;
    return plait_secret_file_write(path, text, (size_t)len);
}

static int write_key(const char *path, const struct plait_token *t)
{
    char text[PLAIT_KEY_TEXT + 2];
    struct plait_key key;

    memcpy(key.bytes, t->key, sizeof key.bytes);
    plait_key_format(&key, text);
    text[PLAIT_KEY_TEXT] = '\n';
    int err = plait_secret_file_write(path, text, PLAIT_KEY_TEXT + 1);
    plait_wipe(&key, sizeof key);
    plait_wipe(text, sizeof text);
    return err;
}

static int say_file(const char *path, int err)
{
    if (err == PLAIT_ERR_STATE)
        plait_say("%s is there already; nothing is overwritten", path);
    else
        plait_say("%s: %s", path, plait_reason(err));
    return PLAIT_NODE_FAILED;
}

static int write_both(const struct plait_node_join_options *o, const struct plait_token *t)
{
    char folder[PATH_MAX], conf[PATH_MAX], key[PATH_MAX];

    if (mkdir(o->folder, S_IRWXU | S_IRGRP | S_IXGRP | S_IROTH | S_IXOTH) != 0 && errno != EEXIST)
        return say_file(o->folder, PLAIT_ERR_IO);
    if (realpath(o->folder, folder) == NULL) /* the node may be started anywhere */
        return say_file(o->folder, PLAIT_ERR_IO);
    if (snprintf(conf, sizeof conf, "%s/node.conf", folder) >= (int)sizeof conf ||
        snprintf(key, sizeof key, "%s/node.key", folder) >= (int)sizeof key)
        return say_file(o->folder, PLAIT_ERR_LIMIT);
    int err = write_key(key, t);
    if (err != PLAIT_OK)
        return say_file(key, err);
    err = write_conf(conf, t, key, o->route);
    if (err != PLAIT_OK) {
        int saved = errno;
        unlink(key);
        errno = saved;
        return say_file(conf, err);
    }
    printf("%s and %s are made. Name the uplinks there, then: plait node -c %s\n", conf, key, conf);
    return PLAIT_NODE_DONE;
}

int plait_node_join(const struct plait_node_join_options *options)
{
    struct plait_token token;

    plait_say_as("plait node");
    int err = plait_token_decode(options->token, strlen(options->token), &token);
    if (err != PLAIT_OK)
        return say_token(err);
    if (!route_is_good(options->route)) {
        plait_say("--route %s: default, none or prefixes such as 10.0.0.0/8", options->route);
        return PLAIT_NODE_USAGE;
    }
    int status = write_both(options, &token);
    plait_wipe(&token, sizeof token);
    return status;
}
