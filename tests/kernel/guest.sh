# Run by tools/kernel_vm.sh inside the virtual machine: the tests of kernel TLS; and, unless build/kernel/only says
# "kernel", the end-to-end suite with every TLS connection handed to the kernel. In two halves side by side.
cd "$(dirname "$0")/../.."
uname -r
ulimit -n 4096
# Emulated code is many times slower. RINGWAY_TEST_KERNEL makes a missing kernel TLS a failure instead of a skip.
export RINGWAY_TEST_PATIENCE=12 RINGWAY_TEST_KERNEL=1 RINGWAY_TEST_FORK=1 PYTHONDONTWRITEBYTECODE=1
# A tenth of the time that a start takes: pydantic looks for plugins among all that is installed.
export PYDANTIC_DISABLE_PLUGINS=__all__
. build/kernel/wanted # by the Makefile: only=, arguments=
run() { .venv/bin/python -m pytest -p no:cacheprovider --timeout=900 --durations=40 "$@"; }
end_to_end() { RINGWAY_TEST_KERNEL_TLS=1 run -m "not kernel and not slow" "$@"; }

# shellcheck disable=SC2086
[ -n "$arguments" ] && { end_to_end $arguments; exit; }
[ "$only" = kernel ] && { run -m kernel tests/kernel; exit; }

shared="tests/e2e/test_files.py tests/e2e/test_bodies.py"
others=$(ls tests/e2e/test_*.py | grep -v -e test_files.py -e test_bodies.py)
# "short": without what is the same on every kernel (OpenSSL in user space, the supervisor's files, the command line).
if [ "$only" = short ]; then
  others=$(echo "$others" | grep -v -e upstream_t -e upstream_files -e certificates -e ocsp -e commands -e logs \
    -e activation -e start.py -e small_machines)
  export RINGWAY_TEST_DRIVER=io_uring
fi
# shellcheck disable=SC2086
{ run -m kernel tests/kernel && end_to_end $shared; } >build/kernel/shared.log 2>&1 &
# shellcheck disable=SC2086
end_to_end $others tests/protocol/test_over_tls.py
status=$?
wait $! || status=1
cat build/kernel/shared.log
exit $status
