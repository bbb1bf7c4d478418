/* BUG_ON(condition): aborts if what cannot happen happens. On in debug builds (meson -Dengine_checks=true), off in
   release builds. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#ifdef RINGWAY_DEBUG
#define BUG_ON(c) do { if (c) { fprintf(stderr, "BUG_ON(%s) at %s:%d\n", #c, __FILE__, __LINE__); abort(); } } while (0)
#else
/* Not evaluated, but the compiler counts the variables in it as used. */
#define BUG_ON(c) ((void)sizeof(!(c)))
#endif
