/* Buffers under the address sanitizer, which sees a slab as one piece of memory: what may be touched of it is told by hand.
   A buffer that nobody has is poisoned, and between two of them lies a red zone. In other builds all of this is nothing. */
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
/* Poison has the grain of 8 bytes. 1 KiB: what runs over in large steps is met too. */
#define with_red_zone(size) (((size) + 1024u + 7u) & ~7u)
#define poison(at, bytes) ASAN_POISON_MEMORY_REGION((at), (bytes))
#define unpoison(at, bytes) ASAN_UNPOISON_MEMORY_REGION((at), (bytes))
#else
#define with_red_zone(size) (size)
#define poison(at, bytes) ((void)(at), (void)(bytes))
#define unpoison(at, bytes) ((void)(at), (void)(bytes))
#endif
