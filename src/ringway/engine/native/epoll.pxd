"""System calls of the epoll driver and of the trial of a driver. Declarations only."""
from libc.stdint cimport uint32_t, uint64_t

from ringway.engine.native.linux cimport open_how, sockaddr, socklen_t, statx_t

cdef extern from "<sys/epoll.h>" nogil:
    cdef union epoll_data_t:
        int fd
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    uint32_t EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLET
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event* event)
    int epoll_wait(int epoll, epoll_event* events, int most, int timeout_ms)

cdef extern from "<sys/socket.h>" nogil:
    int SOCK_NONBLOCK
    int accept4(int fd, sockaddr* address, socklen_t* length, int flags)
    int bind(int fd, const sockaddr* address, socklen_t length)
    int connect(int fd, const sockaddr* address, socklen_t length)
    int getsockname(int fd, sockaddr* address, socklen_t* length)
    int listen(int fd, int backlog)

cdef extern from "<netinet/in.h>" nogil:
    uint32_t INADDR_LOOPBACK
    uint32_t htonl(uint32_t value)

cdef extern from "<sys/resource.h>" nogil:
    cdef struct rlimit:
        uint64_t rlim_cur
        uint64_t rlim_max
    int RLIMIT_NOFILE
    int getrlimit(int resource, rlimit* out)

cdef extern from "<sys/syscall.h>" nogil:
    long SYS_openat2

cdef extern from "<unistd.h>" nogil:
    long syscall(long number, int folder, const char* path, open_how* how, size_t size)
