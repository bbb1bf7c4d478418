/* The limit of proxying: copies bytes between a client connection and an upstream connection. Does not parse HTTP.
 *
 * Usage: relay LISTEN_PORT UPSTREAM_PORT */
#define _GNU_SOURCE
#include "limit.h"

/* The descriptor to which the data of this one is sent. 0: none. */
static int peer[65536];
static struct sockaddr_in upstream;

static void accepted(int client) {
    int other = socket(AF_INET, SOCK_STREAM, 0);
    must(other >= 0 && other < 65536 && client < 65536, "socket");
    no_delay(client);
    no_delay(other);
    /* Blocks, but only on the loopback. The benchmark opens its connections before it measures. */
    if (connect(other, (struct sockaddr *)&upstream, sizeof upstream) != 0) {
        perror("connect");
        close(other);
        close(client);
        return;
    }
    peer[client] = other;
    peer[other] = client;
    arm_receive(client);
    arm_receive(other);
}

static void ended(int fd) {
    int other = peer[fd];
    if (other == 0)
        return;
    peer[other] = 0;
    peer[fd] = 0;
    shutdown(other, SHUT_RDWR);
    shutdown(fd, SHUT_RDWR);
    close(fd);
    close(other);
}

static void received(const struct io_uring_cqe *cqe, int fd) {
    if (cqe->res == -ENOBUFS) {
        arm_receive(fd);
        return;
    }
    if (cqe->res <= 0) {
        ended(fd);
        return;
    }
    int buffer = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    if (peer[fd] == 0) {
        give_back(buffer);
        return;
    }
    send_all(peer[fd], buffer_at(buffer), (size_t)cqe->res, buffer);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        arm_receive(fd);
}

static void completed(const struct io_uring_cqe *cqe) {
    int fd = tag_fd(cqe->user_data);
    switch (tag_operation(cqe->user_data)) {
    case ACCEPT:
        if (!(cqe->flags & IORING_CQE_F_MORE))
            arm_accept(fd);
        if (cqe->res >= 0)
            accepted(cqe->res);
        break;
    case RECV:
        received(cqe, fd);
        break;
    case SEND:
        give_back(tag_buffer(cqe->user_data));
        break;
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: relay LISTEN_PORT UPSTREAM_PORT\n");
        return 2;
    }
    upstream = loopback(atoi(argv[2]));
    start(atoi(argv[1]));
    run(completed);
}
