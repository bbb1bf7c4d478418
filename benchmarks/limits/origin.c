/* The limit of serving: answers every read with a fixed response. Does not parse HTTP.
 *
 * Usage: origin LISTEN_PORT BODY_BYTES */
#define _GNU_SOURCE
#include "limit.h"

static char *response;
static size_t response_bytes;

static void make_response(size_t body_bytes) {
    response = malloc(body_bytes + 256);
    must(response != NULL, "memory");
    int head_bytes = sprintf(response,
                             "HTTP/1.1 200 OK\r\n"
                             "Server: limit\r\n"
                             "Content-Type: application/octet-stream\r\n"
                             "Content-Length: %zu\r\n\r\n",
                             body_bytes);
    memset(response + head_bytes, 'x', body_bytes);
    response_bytes = (size_t)head_bytes + body_bytes;
}

static void received(const struct io_uring_cqe *cqe, int fd) {
    if (cqe->res == -ENOBUFS) {
        arm_receive(fd);
        return;
    }
    if (cqe->res <= 0) {
        close(fd);
        return;
    }
    give_back(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    send_all(fd, response, response_bytes, 0);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        arm_receive(fd);
}

static void completed(const struct io_uring_cqe *cqe) {
    int fd = tag_fd(cqe->user_data);
    switch (tag_operation(cqe->user_data)) {
    case ACCEPT:
        if (!(cqe->flags & IORING_CQE_F_MORE))
            arm_accept(fd);
        if (cqe->res >= 0) {
            no_delay(cqe->res);
            arm_receive(cqe->res);
        }
        break;
    case RECV:
        received(cqe, fd);
        break;
    case SEND:
        break;
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: origin LISTEN_PORT BODY_BYTES\n");
        return 2;
    }
    make_response(strtoul(argv[2], NULL, 10));
    start(atoi(argv[1]));
    run(completed);
}
