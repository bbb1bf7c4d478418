/* The common part of the limit programs: one io_uring, one ring of provided buffers, one listening socket.
 *
 * The limit programs make only the system calls that no server can avoid. They do not parse HTTP and have no deadlines
 * and no bounds. They are not servers for use: they show the lower limit of the cost. */
#pragma once

#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFERS = 4096, BUFFER_BYTES = 4096, GROUP = 1 };

enum operation { ACCEPT = 1, RECV = 2, SEND = 3 };

static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static char *buffers;

/* The tag of a completion: 16 bits of operation, 32 bits of descriptor, 16 bits of buffer. */
static inline uint64_t tag(enum operation op, int fd, int buffer) {
    return (uint64_t)op << 48 | (uint64_t)fd << 16 | (uint64_t)buffer;
}

static inline enum operation tag_operation(uint64_t data) { return (enum operation)(data >> 48); }
static inline int tag_fd(uint64_t data) { return (int)(data >> 16 & 0xffffffff); }
static inline int tag_buffer(uint64_t data) { return (int)(data & 0xffff); }

static inline char *buffer_at(int buffer) { return buffers + (size_t)buffer * BUFFER_BYTES; }

/* Returns a free submission entry. Submits first if the queue is full. */
static inline struct io_uring_sqe *submission(void) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static inline void arm_accept(int listener) {
    struct io_uring_sqe *sqe = submission();
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
    io_uring_sqe_set_data64(sqe, tag(ACCEPT, listener, 0));
}

static inline void arm_receive(int fd) {
    struct io_uring_sqe *sqe = submission();
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    io_uring_sqe_set_data64(sqe, tag(RECV, fd, 0));
}

static inline void send_all(int fd, const char *data, size_t length, int buffer) {
    struct io_uring_sqe *sqe = submission();
    io_uring_prep_send(sqe, fd, data, length, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, tag(SEND, fd, buffer));
}

/* Lends a buffer to the kernel for receiving. */
static inline void give_back(int buffer) {
    io_uring_buf_ring_add(buffer_ring, buffer_at(buffer), BUFFER_BYTES, (unsigned short)buffer, BUFFERS - 1, 0);
    io_uring_buf_ring_advance(buffer_ring, 1);
}

static inline void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static inline void must(bool good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static inline void must_be_zero(int result, const char *what) {
    if (result) {
        fprintf(stderr, "%s: %s\n", what, strerror(-result));
        exit(1);
    }
}

/* Sets up the ring, the buffers and the listening socket, and starts to accept. */
static void start(int port) {
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
                 IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
        .cq_entries = 16384,
    };
    must_be_zero(io_uring_queue_init_params(4096, &ring, &params), "io_uring_setup");

    buffers = aligned_alloc(4096, (size_t)BUFFERS * BUFFER_BYTES);
    buffer_ring = aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf));
    must(buffers && buffer_ring, "memory");
    memset(buffers, 0, (size_t)BUFFERS * BUFFER_BYTES);
    memset(buffer_ring, 0, BUFFERS * sizeof(struct io_uring_buf));
    struct io_uring_buf_reg group = {
        .ring_addr = (uintptr_t)buffer_ring,
        .ring_entries = BUFFERS,
        .bgid = GROUP,
    };
    must_be_zero(io_uring_register_buf_ring(&ring, &group, 0), "register_buf_ring");
    io_uring_buf_ring_init(buffer_ring);
    for (int buffer = 0; buffer < BUFFERS; buffer++)
        give_back(buffer);

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    must(listener >= 0, "socket");
    int one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = loopback(port);
    must(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    must(listen(listener, 4096) == 0, "listen");
    arm_accept(listener);
}

/* Runs forever: submits, waits for at least one completion, and passes each one to the handler. */
static _Noreturn void run(void (*completed)(const struct io_uring_cqe *)) {
    for (;;) {
        io_uring_submit_and_wait(&ring, 1);
        struct io_uring_cqe *cqe;
        unsigned head;
        unsigned count = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            count++;
            completed(cqe);
        }
        io_uring_cq_advance(&ring, count);
    }
}
