"""Programs that are not ours: curl, nginx, openssl."""

import os

# A preloaded sanitizer is for Ringway's processes: curl hangs under it, workers of nginx die.
_SANITIZERS = {"LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "PYTHONMALLOC"}
SANITIZED = "ASAN_OPTIONS" in os.environ
"""Under the address sanitizer a process takes many times its memory, and who starts it must be able to run under it."""


def environment(**more: str) -> dict[str, str]:
    """For `env=` of whoever starts one."""
    return {**{name: value for name, value in os.environ.items() if name not in _SANITIZERS}, **more}
