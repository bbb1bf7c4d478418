/* Loaded before liburing (LD_PRELOAD): rejects set-up flags like an older kernel that does not know them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <liburing.h>

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
    int (*real)(unsigned, struct io_uring *, struct io_uring_params *) = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
    const char *refused = getenv("RINGWAY_TEST_REFUSED_FLAGS");
    if (p->flags & strtoul(refused ? refused : "0", NULL, 0))
        return -EINVAL;
    int result = real(entries, ring, p);
    fprintf(stderr, "io_uring set up with flags %#x: %d\n", p->flags, result);
    return result;
}
