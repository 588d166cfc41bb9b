#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

struct client {
    uv_pipe_t pipe;
    struct plait_control *control; /* borrows */
    char line[PLAIT_CONTROL_REQUEST_MAX + 1];
    size_t len;
    unsigned answers; /* that are being written */
    struct client *next;
};

struct plait_control {
    uv_pipe_t pipe;
    struct plait_loop *loop;
    char *path; /* owned; NULL once it has been removed */
    json_t *(*answer)(void *ctx, const json_t *request);
    void *ctx;
    struct client *clients;
    unsigned client_count;
    bool closing;
};

static void maybe_free(struct plait_control *c)
{
    if (!c->closing || c->client_count > 0 || c->path != NULL)
        return;
    free(c);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data, **at;
    struct plait_control *c = client->control;

    for (at = &c->clients; *at != client; at = &(*at)->next)
        ;
    *at = client->next;
    c->client_count--;
    free(client);
    maybe_free(c);
}

static void close_client(struct client *client)
{
    if (!uv_is_closing((uv_handle_t *)&client->pipe))
        uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

struct answer {
    uv_write_t uv;
    struct client *client;
    char *text; /* owned */
};

static void on_written(uv_write_t *uv, int status)
{
    struct answer *a = uv->data;

    a->client->answers--;
    if (status < 0)
        close_client(a->client);
    free(a->text);
    free(a);
}

/* Takes `text`, which ends with a newline. */
static void write_text(struct client *client, char *text)
{
    struct answer *a = calloc(1, sizeof *a);
    uv_buf_t buffer = uv_buf_init(text, (unsigned)strlen(text));

    if (a != NULL) {
        a->text = text;
        a->client = client;
        a->uv.data = a;
        if (uv_write(&a->uv, (uv_stream_t *)&client->pipe, &buffer, 1, on_written) == 0) {
            client->answers++;
            return;
        }
    }
    free(a);
    free(text);
    close_client(client);
}

static char *with_newline(char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;
    char *longer = text != NULL ? realloc(text, len + 2) : NULL;

    if (longer == NULL) {
        free(text);
        return NULL;
    }
    memcpy(longer + len, "\n", 2);
    return longer;
}

static void answer_line(struct client *client, const char *line, size_t len)
{
    struct plait_control *c = client->control;
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL), *answer = NULL;
    char *text;

    if (json_is_object(request))
        answer = c->answer(c->ctx, request);
    else
        answer = json_pack("{s:s}", "error", "a request is one JSON object in one line");
    if (answer == NULL)
        answer = json_pack("{s:s}", "error", "there is no answer to that");
    json_decref(request);
    text = with_newline(answer != NULL ? json_dumps(answer, JSON_COMPACT) : NULL);
    json_decref(answer);
    if (text != NULL)
        write_text(client, text);
    else
        close_client(client);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct client *client = handle->data;

    (void)suggested;
    *out = uv_buf_init(client->line + client->len, (unsigned)(PLAIT_CONTROL_REQUEST_MAX - client->len));
}

/* Whole lines are answered, one at a time: who asks faster than it reads has to wait. */
static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct client *client = stream->data;
    struct plait_loop *loop = client->control->loop;
    char *end;

    (void)buffer;
    if (got < 0) {
        close_client(client);
        return;
    }
    plait_loop_enter(loop);
    client->len += (size_t)got;
    while (!uv_is_closing((uv_handle_t *)stream) && (end = memchr(client->line, '\n', client->len)) != NULL) {
        size_t len = (size_t)(end - client->line);
        answer_line(client, client->line, len);
        client->len -= len + 1;
        memmove(client->line, end + 1, client->len);
    }
    if (client->len == PLAIT_CONTROL_REQUEST_MAX || client->answers > PLAIT_CONTROL_CLIENTS_MAX)
        close_client(client);
    plait_loop_leave(loop);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct plait_control *c = server->data;
    struct client *client = status == 0 ? calloc(1, sizeof *client) : NULL;

    if (client == NULL)
        return;
    client->control = c;
    client->pipe.data = client;
    if (uv_pipe_init(server->loop, &client->pipe, 0) != 0) {
        free(client);
        return;
    }
    client->pipe.data = client;
    client->next = c->clients;
    c->clients = client;
    c->client_count++;
    if (uv_accept(server, (uv_stream_t *)&client->pipe) != 0 || c->client_count > PLAIT_CONTROL_CLIENTS_MAX ||
        uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) != 0)
        close_client(client);
}

static bool address_of(const char *path, struct sockaddr_un *out)
{
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof out->sun_path || path[0] == '\0')
        return false;
    memcpy(out->sun_path, path, strlen(path));
    return true;
}

/* Somebody answers: PLAIT_ERR_STATE. A socket that nobody listens to any more is removed. */
static int make_place(const char *path)
{
    struct sockaddr_un address;
    struct stat st;
    int fd, err;

    if (!address_of(path, &address))
        return PLAIT_ERR_ARG;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? PLAIT_OK : PLAIT_ERR_IO;
    if (!S_ISSOCK(st.st_mode))
        return PLAIT_ERR_ARG;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return PLAIT_ERR_IO;
    err = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    if (err == 0 || err == EAGAIN)
        return PLAIT_ERR_STATE;
    if (err == ECONNREFUSED)
        return unlink(path) == 0 || errno == ENOENT ? PLAIT_OK : PLAIT_ERR_IO;
    errno = err;
    return PLAIT_ERR_IO;
}

/* A listening socket with that mode from the beginning. */
static int open_socket(const struct plait_control_config *config)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;
    bool good;
    mode_t mask;

    if (fd < 0 || !address_of(config->path, &address))
        return -1;
    mask = umask(0117);
    good = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    saved = errno;
    (void)umask(mask);
    errno = saved;
    if (good && config->group != (gid_t)-1 && chown(config->path, (uid_t)-1, config->group) != 0)
        good = false;
    if (good && listen(fd, PLAIT_CONTROL_CLIENTS_MAX) == 0)
        return fd;
    saved = errno;
    close(fd);
    if (good || saved != EADDRINUSE)
        (void)unlink(config->path);
    errno = saved;
    return -1;
}

static void on_closed(uv_handle_t *handle)
{
    struct plait_control *c = handle->data;

    free(c->path);
    c->path = NULL;
    maybe_free(c);
}

int plait_control_open(const struct plait_control_config *config, struct plait_control **out)
{
    struct plait_control *c;
    int err = make_place(config->path), fd;

    if (err != PLAIT_OK)
        return err;
    c = calloc(1, sizeof *c);
    if (c == NULL)
        return PLAIT_ERR_NOMEM;
    c->loop = config->loop;
    c->answer = config->answer;
    c->ctx = config->ctx;
    c->path = strdup(config->path);
    fd = c->path != NULL ? open_socket(config) : -1;
    if (fd < 0 || uv_pipe_init(&config->loop->uv, &c->pipe, 0) != 0) {
        free(c->path);
        free(c);
        return PLAIT_ERR_IO;
    }
    c->pipe.data = c;
    if (uv_pipe_open(&c->pipe, fd) == 0 &&
        uv_listen((uv_stream_t *)&c->pipe, PLAIT_CONTROL_CLIENTS_MAX, on_connection) == 0) {
        *out = c;
        return PLAIT_OK;
    }
    plait_control_close(c);
    return PLAIT_ERR_IO;
}

void plait_control_close(struct plait_control *c)
{
    if (c == NULL || c->closing)
        return;
    c->closing = true;
    (void)unlink(c->path);
    for (struct client *i = c->clients; i != NULL; i = i->next)
        close_client(i);
    uv_close((uv_handle_t *)&c->pipe, on_closed);
}

static int connect_to(const char *path, unsigned timeout_ms)
{
    struct timeval patience = {.tv_sec = timeout_ms / 1000,
                               .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    struct sockaddr_un address;
    int fd, saved;

    if (!address_of(path, &address)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = send(fd, bytes, len, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        len -= (size_t)done;
    }
    return true;
}

/* One line, without its end; returns owned, or NULL (errno). */
static char *read_line(int fd, size_t *len)
{
    size_t size = 0;
    char *line = NULL, *end = NULL;

    *len = 0;
    while (end == NULL) {
        if (*len == size) {
            size = size == 0 ? 16384 : size * 2;
            char *longer = size <= PLAIT_CONTROL_ANSWER_MAX ? realloc(line, size) : NULL;
            if (longer == NULL)
                break;
            line = longer;
        }
        ssize_t got = recv(fd, line + *len, size - *len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got == 0 ? ECONNRESET : errno == EAGAIN ? ETIMEDOUT : errno;
            break;
        }
        end = memchr(line + *len, '\n', (size_t)got);
        *len += (size_t)got;
    }
    if (end == NULL) {
        free(line);
        return NULL;
    }
    *len = (size_t)(end - line);
    return line;
}

static int result_of_errno(void)
{
    if (errno == ENOENT || errno == ECONNREFUSED)
        return PLAIT_ERR_NOTFOUND;
    return errno == EACCES || errno == EPERM ? PLAIT_ERR_STATE : PLAIT_ERR_IO;
}

int plait_control_ask(const char *path, const json_t *request, unsigned timeout_ms, json_t **answer)
{
    char *text = with_newline(json_dumps(request, JSON_COMPACT)), *line = NULL;
    json_t *found = NULL;
    size_t len;
    int fd, err = PLAIT_ERR_NOMEM;

    if (text == NULL)
        return err;
    fd = connect_to(path, timeout_ms);
    if (fd >= 0 && send_all(fd, text, strlen(text)))
        line = read_line(fd, &len);
    err = line == NULL ? result_of_errno() : PLAIT_ERR_FORMAT;
    if (line != NULL)
        found = json_loadb(line, len, 0, NULL);
    if (found != NULL) {
        *answer = found;
        err = PLAIT_OK;
    }
    if (fd >= 0)
        close(fd);
    free(line);
    free(text);
    return err;
}
