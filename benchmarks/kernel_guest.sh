# tools/kernel_vm.sh runs this in the virtual machine, see benchmarks/kernel_tls.py and benchmarks/tls.py.
cd "$(dirname "$0")/.."
ulimit -n 4096
uname -r
.venv/bin/python -m benchmarks.kernel_tls --seconds 2 --rounds 1 --instruction-ns 2 &&
  .venv/bin/python -m benchmarks.tls --seconds 4 --rounds 1 --connections 500
