# Run by tools/kernel_vm.sh inside the virtual machine: the tests of kernel TLS, then the end-to-end suite with every TLS
# connection handed to the kernel.
cd "$(dirname "$0")/../.."
uname -r
ulimit -n 4096
# Emulated code is many times slower. The names are for tests alone: RINGWAY_TEST_KERNEL makes a missing kernel TLS a
# failure instead of a skip.
export RINGWAY_TEST_PATIENCE=12 RINGWAY_TEST_KERNEL=1 PYTHONDONTWRITEBYTECODE=1
python=.venv/bin/python
[ -z "${ARGS_FILE:-}" ] || ARGS=$(cat "$ARGS_FILE")
status=0
$python -m pytest -p no:cacheprovider --timeout=600 -m kernel tests/kernel || status=1
RINGWAY_TEST_KERNEL_TLS=1 $python -m pytest -p no:cacheprovider --timeout=900 -m "not kernel and not slow" \
  tests/e2e tests/protocol/test_over_tls.py || status=1
exit $status
