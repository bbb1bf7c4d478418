# tools/kernel_vm.sh runs this in the virtual machine. Runs the tests of kernel TLS and, except with ONLY=kernel, end-to-end
# tests in which the kernel takes over every TLS connection: all of them, or with ONLY=core those that depend on the kernel.
cd "$(dirname "$0")/../.."
uname -r
ulimit -n 4096
# Emulated code is many times slower. RINGWAY_TEST_KERNEL makes a missing kernel TLS a failure instead of a skip.
export RINGWAY_TEST_PATIENCE=12 RINGWAY_TEST_KERNEL=1 RINGWAY_TEST_FORK=1 PYTHONDONTWRITEBYTECODE=1
# Pydantic searches all installed packages for plugins, which takes a tenth of a start.
export PYDANTIC_DISABLE_PLUGINS=__all__
. build/kernel/wanted # written by the Makefile: only=, arguments=
# run NAME ...: runs pytest, and stores the failed tests under that name.
run() { .venv/bin/python -m pytest -o cache_dir=/dev/shm/pytest-cache-$1 --timeout=900 --durations=40 "${@:2}"; }
end_to_end() { RINGWAY_TEST_KERNEL_TLS=1 run end_to_end -m "not kernel and not slow" "$@"; }
# In their own network namespace, whose counters no other test changes.
kernel_alone() {
  export -f run
  unshare --net bash -c 'ip link set lo up && run kernel -m kernel "$@" tests/kernel' kernel_alone "$@"
}

# shellcheck disable=SC2086
[ -n "$arguments" ] && { end_to_end $arguments; exit; }
[ "$only" = kernel ] && { kernel_alone; exit; }

# Both suites run at the same time. Three processes run the end-to-end tests, file by file, because some mostly wait.
kernel_alone >build/kernel/alone.log 2>&1 &
suite="tests/e2e tests/protocol/test_over_tls.py"
# What depends on the kernel: rings, sendfile, kernel TLS, distribution of connections.
[ "$only" = core ] && suite="tests/e2e/test_bodies.py tests/e2e/test_drivers.py tests/e2e/test_files.py tests/e2e/test_steering.py
  tests/e2e/test_tls.py tests/e2e/test_uring_setup.py tests/protocol/test_over_tls.py"
# shellcheck disable=SC2086
end_to_end -n 3 --dist loadfile -v $suite >build/kernel/end_to_end.log 2>&1
status=$?
wait $!
alone=$?
cat build/kernel/alone.log build/kernel/end_to_end.log
# With three tests at a time on two emulated CPUs, a timeout of Ringway can expire. Failed tests must pass alone.
if [ $status = 1 ]; then
  echo "running the failed tests again, one at a time:"
  # shellcheck disable=SC2086
  end_to_end --last-failed $suite
  status=$?
fi
if [ $alone = 1 ]; then
  echo "running the failed tests of the kernel suite again, alone:"
  kernel_alone --last-failed
  alone=$?
fi
exit $((status | alone))
