# Run by tools/kernel_vm.sh inside the virtual machine: the tests of kernel TLS; and, unless asked for them alone,
# the end-to-end suite with every TLS connection handed to the kernel.
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
# In a network of its own: what the kernel counts there is theirs alone.
kernel_alone() {
  export -f run
  unshare --net bash -c 'ip link set lo up && run -m kernel tests/kernel'
}

# shellcheck disable=SC2086
[ -n "$arguments" ] && { end_to_end $arguments; exit; }
[ "$only" = kernel ] && { kernel_alone; exit; }

# Side by side, the end-to-end tests by three processes that each take the next file (some wait much). "short": those in which much is the
# kernel's: sockets, files, rings, TLS.
kernel_alone >build/kernel/alone.log 2>&1 &
wanted="tests/e2e tests/protocol/test_over_tls.py"
if [ "$only" = short ]; then
  export RINGWAY_TEST_DRIVER=io_uring
  wanted="$(printf 'tests/e2e/test_%s.py ' files bodies chaos drain https_only tls unix_sockets upgrade uring_setup)"
fi
# shellcheck disable=SC2086
end_to_end -n 3 --dist loadfile -v $wanted >build/kernel/end_to_end.log 2>&1
status=$?
wait $! || status=1
cat build/kernel/alone.log build/kernel/end_to_end.log
exit $status
