#include "door.h"

#include <stdlib.h>

/* libuv closes later: by then the door may be open again. */
struct plait_door_watch {
    struct plait_watch watch;
    struct plait_door *door; /* NULL once it has been closed */
};

bool plait_door_is_open(const struct plait_door *door)
{
    return door->watch != NULL;
}

static void on_readable(void *ctx)
{
    struct plait_door_watch *w = ctx;

    if (w->door != NULL)
        w->door->readable(w->door);
}

static void free_watch(uv_handle_t *handle)
{
    struct plait_watch *watch = handle->data;

    free(watch->ctx);
}

int plait_door_open(struct plait_door *door, struct plait_loop *loop, const struct plait_udp_options *options,
                    void (*readable)(struct plait_door *door), void *ctx)
{
    struct plait_door_watch *w = calloc(1, sizeof *w);

    if (w == NULL)
        return PLAIT_ERR_NOMEM;
    int err = plait_udp_open(&door->udp, options);
    if (err == PLAIT_OK && plait_watch_init(&w->watch, loop, door->udp.fd, on_readable, w) != PLAIT_OK) {
        plait_udp_close(&door->udp);
        err = PLAIT_ERR_IO;
    }
    if (err != PLAIT_OK) {
        free(w);
        return err;
    }
    w->door = door;
    door->watch = w;
    door->readable = readable;
    door->ctx = ctx;
    return PLAIT_OK;
}

void plait_door_close(struct plait_door *door)
{
    if (door->watch == NULL)
        return;
    door->watch->door = NULL;
    uv_close((uv_handle_t *)&door->watch->watch.uv, free_watch);
    door->watch = NULL;
    plait_udp_close(&door->udp);
}
