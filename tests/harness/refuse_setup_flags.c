/* LD_PRELOAD: io_uring_queue_init_params() of an older kernel, which does not know the flags in REFUSED_SETUP_FLAGS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
    const char *refused = getenv("REFUSED_SETUP_FLAGS");
    int (*real)(unsigned, struct io_uring *, struct io_uring_params *) = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
    if (refused && p->flags & strtoul(refused, NULL, 0))
        return -EINVAL;
    return real(entries, ring, p);
}
