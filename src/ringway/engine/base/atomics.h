/* Loads and stores that other processes see in program order. */
#pragma once
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define load_acquire_64(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_release_64(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
