# Run by tools/kernel_vm.sh inside the virtual machine: the tests of kernel TLS; and, unless asked for them alone,
# end-to-end tests with every TLS connection handed to the kernel: all of them, or (ONLY=core) those that depend on the kernel.
cd "$(dirname "$0")/../.."
uname -r
ulimit -n 4096
# Emulated code is many times slower. RINGWAY_TEST_KERNEL makes a missing kernel TLS a failure instead of a skip.
export RINGWAY_TEST_PATIENCE=12 RINGWAY_TEST_KERNEL=1 RINGWAY_TEST_FORK=1 PYTHONDONTWRITEBYTECODE=1
# A tenth of the time that a start takes: pydantic looks for plugins among all that is installed.
export PYDANTIC_DISABLE_PLUGINS=__all__
. build/kernel/wanted # by the Makefile: only=, arguments=
# run NAME ...: pytest, which remembers under that name what failed.
run() { .venv/bin/python -m pytest -o cache_dir=/dev/shm/pytest-cache-$1 --timeout=900 --durations=40 "${@:2}"; }
end_to_end() { RINGWAY_TEST_KERNEL_TLS=1 run end_to_end -m "not kernel and not slow" "$@"; }
# In a network of its own: what the kernel counts there is theirs alone.
kernel_alone() {
  export -f run
  unshare --net bash -c 'ip link set lo up && run kernel -m kernel "$@" tests/kernel' kernel_alone "$@"
}

# shellcheck disable=SC2086
[ -n "$arguments" ] && { end_to_end $arguments; exit; }
[ "$only" = kernel ] && { kernel_alone; exit; }

# Side by side; the end-to-end tests by three processes that each take the next file, since some wait much.
kernel_alone >build/kernel/alone.log 2>&1 &
suite="tests/e2e tests/protocol/test_over_tls.py"
# What the kernel does for us: rings, sendfile, records that it makes, sockets that it spreads connections over.
[ "$only" = core ] && suite="tests/e2e/test_bodies.py tests/e2e/test_drivers.py tests/e2e/test_files.py tests/e2e/test_steering.py
  tests/e2e/test_tls.py tests/e2e/test_uring_setup.py tests/protocol/test_over_tls.py"
# shellcheck disable=SC2086
end_to_end -n 3 --dist loadfile -v $suite >build/kernel/end_to_end.log 2>&1
status=$?
wait $!
alone=$?
cat build/kernel/alone.log build/kernel/end_to_end.log
# Three at a time on two emulated CPUs, a deadline of Ringway's own may pass. What failed has to pass alone.
if [ $status = 1 ]; then
  echo "what failed, once more and one by one:"
  # shellcheck disable=SC2086
  end_to_end --last-failed $suite
  status=$?
fi
if [ $alone = 1 ]; then
  echo "what failed of the kernel suite, once more and alone:"
  kernel_alone --last-failed
  alone=$?
fi
exit $((status | alone))
