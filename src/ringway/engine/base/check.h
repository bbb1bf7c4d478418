/* BUG_ON(condition): what cannot happen. On in debug builds (meson -Dengine_checks=true), nothing in release. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#ifdef RINGWAY_DEBUG
#define BUG_ON(c) do { if (c) { fprintf(stderr, "BUG_ON(%s) at %s:%d\n", #c, __FILE__, __LINE__); abort(); } } while (0)
#else
/* Not evaluated, but looked at: what only an assertion uses is not unused. */
#define BUG_ON(c) ((void)sizeof(!(c)))
#endif
