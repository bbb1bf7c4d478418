"""Kernel TLS, the parts that Ringway uses (Documentation/networking/tls.rst). Declarations only."""
from libc.stdint cimport uint8_t

from ringway.engine.native.linux cimport iovec, socklen_t

cdef extern from "<linux/tls.h>" nogil:
    int TLS_TX, TLS_RX
    int TLS_SET_RECORD_TYPE, TLS_GET_RECORD_TYPE
    unsigned short TLS_1_2_VERSION, TLS_1_3_VERSION
    unsigned short TLS_CIPHER_AES_GCM_128, TLS_CIPHER_AES_GCM_256, TLS_CIPHER_CHACHA20_POLY1305

cdef enum:
    TCP_ULP = 31            # include/uapi/linux/tcp.h
    SOL_TLS = 282           # include/linux/socket.h

cdef extern from "<sys/socket.h>" nogil:
    cdef struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    cdef struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    cmsghdr* CMSG_FIRSTHDR(msghdr* message)
    unsigned char* CMSG_DATA(cmsghdr* control)
    size_t CMSG_LEN(size_t length)
    size_t CMSG_SPACE(size_t length)
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    ssize_t recvmsg(int fd, msghdr* message, int flags)

cdef extern from "<poll.h>" nogil:
    cdef struct pollfd:
        int fd
        short events
        short revents
    int POLLOUT, POLLRDHUP
    int poll(pollfd* asked, unsigned long count, int timeout_ms)
