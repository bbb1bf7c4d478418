# Run by tools/kernel_vm.sh inside the virtual machine: the tests of kernel TLS; and, unless asked for them alone,
# the end-to-end suite with every TLS connection handed to the kernel. In two halves side by side.
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

# Two halves, side by side. "short": of the end-to-end tests those in which much is the kernel's: sockets, files, rings, TLS.
named() { printf 'tests/e2e/test_%s.py ' "$@"; }
first="$(named files bodies)tests/protocol/test_over_tls.py "
second=$(named chaos drain https_only tls unix_sockets upgrade uring_setup)
if [ "$only" = short ]; then
  export RINGWAY_TEST_DRIVER=io_uring
else
  first+=$(named drivers files_that_change proxy_protocol)
  for file in tests/e2e/test_*.py; do
    [[ " $first $second " == *" $file "* ]] || second+="$file "
  done
fi
# shellcheck disable=SC2086
{ kernel_alone && end_to_end $first; } >build/kernel/first.log 2>&1 &
# shellcheck disable=SC2086
end_to_end $second >build/kernel/second.log 2>&1
status=$?
wait $! || status=1
cat build/kernel/first.log build/kernel/second.log
exit $status
