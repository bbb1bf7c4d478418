/* Buffers under the address sanitizer. The sanitizer sees a slab as one piece of memory, so these macros mark which
   parts may be touched. Free buffers are poisoned, and there is a red zone between two buffers. In other builds the
   macros do nothing. */
#pragma once
#include <stdint.h>
#if defined(__SANITIZE_ADDRESS__)
#define RINGWAY_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RINGWAY_POISONS 1
#endif
#endif
#ifdef RINGWAY_POISONS
#include <sanitizer/asan_interface.h>
/* The sanitizer poisons 8 bytes at a time. A red zone of 1 KiB also catches overruns in large steps. */
#define with_red_zone(size) (((size) + 1024u + 7u) & ~7u)
#define poison(at, bytes) ASAN_POISON_MEMORY_REGION((at), (bytes))
#define unpoison(at, bytes) ASAN_UNPOISON_MEMORY_REGION((at), (bytes))
#else
#define with_red_zone(size) (size)
#define poison(at, bytes) ((void)(at), (void)(bytes))
#define unpoison(at, bytes) ((void)(at), (void)(bytes))
#endif
