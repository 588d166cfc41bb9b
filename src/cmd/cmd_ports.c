#include "cmd_ports.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "hub.h"

#define TIMEOUT_MS 10000

static const char *reason(int err)
{
    return err == PLAIT_ERR_NOTFOUND ? "no hub runs there"
           : err == PLAIT_ERR_STATE  ? "not allowed: only its user and group may ask"
           : err == PLAIT_ERR_IO     ? strerror(errno)
                                     : plait_err_name(err);
}

static void print_lan(const json_t *p)
{
    if (json_is_integer(json_object_get(p, "lan")))
        printf("%6lld ", (long long)json_integer_value(json_object_get(p, "lan")));
    else
        printf("%6s ", "-");
}

static void print_port(const json_t *p)
{
    const char *node = json_string_value(json_object_get(p, "node"));

    printf("%-5s %5d  %-16s ", json_string_value(json_object_get(p, "protocol")),
           (int)json_integer_value(json_object_get(p, "port")), node != NULL ? node : "-");
    print_lan(p);
    printf("%-30s %5d s%s\n", json_string_value(json_object_get(p, "inner")),
           (int)json_integer_value(json_object_get(p, "idle")),
           json_is_true(json_object_get(p, "published")) ? "  published" : "");
}

static int print(const json_t *answer, bool json)
{
    const json_t *ports = json_object_get(answer, "ports"), *error = json_object_get(answer, "error");
    size_t i;
    json_t *p;

    if (error != NULL) {
        fprintf(stderr, "plait hub ports: %s\n", json_string_value(error));
        return PLAIT_HUB_FAILED;
    }
    if (json) {
        json_dumpf(ports, stdout, JSON_INDENT(2));
        putchar('\n');
        return PLAIT_HUB_DONE;
    }
    printf("%-5s %5s  %-16s %6s %-30s %7s\n", "", "port", "node", "LAN", "inner address and port", "idle");
    json_array_foreach(ports, i, p)
    {
        print_port(p);
    }
    return PLAIT_HUB_DONE;
}

int plait_ports_print(const char *control, bool json)
{
    json_t *request = json_pack("{s:s}", "do", "ports"), *answer = NULL;
    int err = plait_control_ask(control, request, TIMEOUT_MS, &answer);

    json_decref(request);
    if (err != PLAIT_OK) {
        fprintf(stderr, "plait hub ports: %s: %s\n", control, reason(err));
        return PLAIT_HUB_FAILED;
    }
    int status = print(answer, json);
    json_decref(answer);
    return fflush(stdout) == 0 ? status : PLAIT_HUB_FAILED;
}
