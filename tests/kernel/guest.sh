# Run by tools/kernel_vm.sh inside the virtual machine: the tests of kernel TLS; then, unless build/kernel/only says
# otherwise, the end-to-end suite with every TLS connection handed to the kernel, in two halves side by side.
cd "$(dirname "$0")/../.."
uname -r
ulimit -n 4096
# Emulated code is many times slower. RINGWAY_TEST_KERNEL makes a missing kernel TLS a failure instead of a skip.
export RINGWAY_TEST_PATIENCE=12 RINGWAY_TEST_KERNEL=1 PYTHONDONTWRITEBYTECODE=1
run() { .venv/bin/python -m pytest -p no:cacheprovider --timeout=900 "$@"; }
status=0
run -m kernel tests/kernel || status=1
[ "$(cat build/kernel/only 2>/dev/null)" = kernel ] && exit $status

export RINGWAY_TEST_KERNEL_TLS=1
files="tests/e2e/test_files.py tests/e2e/test_bodies.py"
others=$(ls tests/e2e/test_*.py | grep -v -e test_files -e test_bodies)
# shellcheck disable=SC2086
run -m "not kernel and not slow" $files >"$TMPDIR/files.log" 2>&1 &
# shellcheck disable=SC2086
run -m "not kernel and not slow" $others tests/protocol/test_over_tls.py || status=1
wait $! || status=1
cat "$TMPDIR/files.log"
exit $status
