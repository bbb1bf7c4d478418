"""System calls and constants that Cython's libc does not declare. Declarations only."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    cdef struct sockaddr:
        uint16_t sa_family
    cdef struct sockaddr_storage:
        uint16_t ss_family
    cdef struct linger:
        int l_onoff
        int l_linger
    int AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM, SOCK_CLOEXEC, SOCK_NONBLOCK, SOL_SOCKET, SO_ERROR, SO_LINGER
    int SHUT_RD, SHUT_WR, SHUT_RDWR
    int MSG_NOSIGNAL, MSG_MORE, MSG_DONTWAIT, MSG_PEEK
    int accept4(int fd, sockaddr* peer, socklen_t* length, int flags)
    int socket(int domain, int kind, int protocol)
    int getpeername(int fd, sockaddr* address, socklen_t* length)
    int getsockname(int fd, sockaddr* address, socklen_t* length)
    int getsockopt(int fd, int level, int name, void* value, socklen_t* length)
    int setsockopt(int fd, int level, int name, const void* value, socklen_t length)
    int shutdown(int fd, int how)
    int socketpair(int domain, int kind, int protocol, int* pair)
    ssize_t send(int fd, const void* data, size_t length, int flags)
    ssize_t recv(int fd, void* data, size_t length, int flags)

cdef extern from "<sys/un.h>" nogil:
    cdef struct sockaddr_un:
        uint16_t sun_family
        char sun_path[108]

cdef extern from "<netinet/in.h>" nogil:
    cdef struct in_addr:
        uint32_t s_addr
    cdef struct in6_addr:
        uint8_t s6_addr[16]
    cdef struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        in6_addr sin6_addr
        uint32_t sin6_scope_id
    int IPPROTO_TCP
    uint16_t htons(uint16_t value)
    uint16_t ntohs(uint16_t value)

cdef extern from "<netinet/tcp.h>" nogil:
    int TCP_NODELAY

cdef extern from "<arpa/inet.h>" nogil:
    const char* inet_ntop(int family, const void* source, char* out, socklen_t size)
    int inet_pton(int family, const char* text, void* out)

cdef extern from "<unistd.h>" nogil:
    int close(int fd)
    int dup3(int source, int target, int flags)
    ssize_t readlink(const char* path, char* out, size_t room)
    ssize_t readlinkat(int folder, const char* path, char* out, size_t room)
    int getpagesize()
    long long lseek(int fd, long long offset, int whence)
    int SEEK_END
    int dup(int fd)
    ssize_t pread(int fd, void* data, size_t length, int64_t offset)

cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void* iov_base
        size_t iov_len
    ssize_t preadv2(int fd, const iovec* parts, int count, int64_t offset, int flags)
    int RWF_NOWAIT

cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int fd, unsigned long request, ...)
    unsigned long FIONBIO, FIONREAD

cdef extern from "<linux/sockios.h>" nogil:
    unsigned long SIOCOUTQ, SIOCOUTQNSD

cdef extern from "<sys/sendfile.h>" nogil:
    ssize_t sendfile(int out, int source, int64_t* offset, size_t count)

cdef extern from "<fcntl.h>" nogil:
    int O_RDONLY, O_CLOEXEC, O_NONBLOCK, O_PATH, O_NOCTTY
    int AT_FDCWD, F_SETFL
    int fcntl(int fd, int command, ...)
    int AT_EMPTY_PATH, AT_STATX_DONT_SYNC

cdef extern from "<linux/openat2.h>" nogil:
    cdef struct open_how:
        uint64_t flags
        uint64_t mode
        uint64_t resolve
    int RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS

cdef extern from "<sys/stat.h>" nogil:
    cdef struct statx_timestamp:
        int64_t tv_sec
        uint32_t tv_nsec
    cdef struct statx_t "statx":
        uint32_t stx_mask
        uint16_t stx_mode
        uint64_t stx_ino
        uint64_t stx_size
        statx_timestamp stx_mtime
        statx_timestamp stx_ctime
        uint32_t stx_dev_major
        uint32_t stx_dev_minor
    unsigned int STATX_BASIC_STATS, STATX_INO
    int stat_at "statx"(int folder, const char* path, int flags, unsigned int mask, statx_t* out)
    bint S_ISREG(unsigned int mode)
    bint S_ISDIR(unsigned int mode)

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* address, size_t length, int protection, int flags, int fd, int64_t offset)
    int munmap(void* address, size_t length)
    int mprotect(void* address, size_t length, int protection)
    int madvise(void* address, size_t length, int advice)
    int MADV_DONTNEED
    int PROT_NONE, PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_SHARED, MAP_ANONYMOUS, MAP_NORESERVE
    void* MAP_FAILED

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        int64_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* out)
    int CLOCK_MONOTONIC, CLOCK_REALTIME

cdef extern from "<errno.h>" nogil:
    int errno
    int EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ECANCELED, ECONNREFUSED, ECONNRESET, EPIPE, ETIME
    int ENOENT, ENOTDIR, EACCES, ELOOP, EXDEV, EINVAL, ENOSYS, EPERM, EISDIR, ENAMETOOLONG, ENXIO
    int EBUSY, EBADR, ECONNABORTED, EALREADY, ETIMEDOUT, EINPROGRESS, EOPNOTSUPP, EOVERFLOW, EIO
    int EBADMSG, EMSGSIZE, EPROTO

cdef extern from "<sys/prctl.h>" nogil:
    int prctl(int option, ...)
    int PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS

cdef extern from "<linux/capability.h>" nogil:
    cdef struct __user_cap_header_struct:
        uint32_t version
        int pid
    cdef struct __user_cap_data_struct:
        uint32_t effective
        uint32_t permitted
        uint32_t inheritable
    ctypedef __user_cap_header_struct cap_user_header_t "struct __user_cap_header_struct"
    ctypedef __user_cap_data_struct cap_user_data_t "struct __user_cap_data_struct"
    uint32_t LINUX_CAPABILITY_VERSION_3 "_LINUX_CAPABILITY_VERSION_3"

cdef enum:
    CAPABILITIES_MAX = 64       # two words of 32 bits in version 3

cdef extern from "<sys/syscall.h>" nogil:
    long SYS_capset

cdef extern from "<unistd.h>" nogil:
    long capset_call "syscall"(long number, cap_user_header_t* header, const cap_user_data_t* data)
