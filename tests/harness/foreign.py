"""The environment for other programs: curl, nginx, openssl."""

import os

# Preloaded sanitizers are only for Ringway: with them curl hangs, and workers of nginx die.
_SANITIZERS = {"LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "PYTHONMALLOC"}
SANITIZED = "ASAN_OPTIONS" in os.environ
"""Whether Ringway runs with the address sanitizer. A process then uses many times its memory, and a program that starts
Ringway must work with the sanitizer, too."""


def environment(**more: str) -> dict[str, str]:
    """Returns the environment for such a program."""
    return {**{name: value for name, value in os.environ.items() if name not in _SANITIZERS}, **more}
