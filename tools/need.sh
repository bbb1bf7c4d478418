#!/bin/sh
# need.sh build|test|kernel|budget|bench PYTHON: checks that the machine has the required packages.
#
# As root on a system with apt-get it installs missing packages. Otherwise it prints what to install on Debian, Fedora and
# Arch, and fails. It never installs a package whose programs are there already.
set -eu
what=$1
python=$2

debian= fedora= arch=
with() { # LIST WORD: prints the list with the word in it once
  case " $1 " in *" $2 "*) echo "$1" ;; *) echo "$1 $2" ;; esac
}
missing() { # DEBIAN FEDORA ARCH: adds a missing package
  debian=$(with "$debian" "$1") fedora=$(with "$fedora" "$2") arch=$(with "$arch" "$3")
}

need_build() {
  command -v "${CC:-cc}" >/dev/null 2>&1 || missing gcc gcc gcc
  # libc's headers come with the compiler on Fedora and Arch, not on Debian.
  [ -e /usr/include/stdio.h ] || missing libc6-dev glibc-devel glibc
  if ! command -v "$python" >/dev/null 2>&1; then
    missing python3 python3 python
    missing python3-dev python3-devel python
    missing python3-venv python3 python
  else
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
      echo "error: Ringway needs Python 3.11 or later, $python is $("$python" -V 2>&1)." >&2
      echo "Name another one: make PYTHON=python3.12 ..." >&2
      exit 1
    }
    "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
      missing python3-dev python3-devel python
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing python3-venv python3 python
  fi
  if ! command -v pkg-config >/dev/null 2>&1; then
    missing pkg-config pkgconf-pkg-config pkgconf
    [ -e /usr/include/liburing.h ] || missing liburing-dev liburing-devel liburing
    [ -e /usr/include/openssl/ssl.h ] || missing libssl-dev openssl-devel openssl
  else
    pkg-config --atleast-version=2.3 liburing 2>/dev/null || missing liburing-dev liburing-devel liburing
    pkg-config --atleast-version=3.0 libssl 2>/dev/null || missing libssl-dev openssl-devel openssl
  fi
}

need_test() {
  # Upstreams and clients of the tests. nginx is in /usr/sbin, which is not in every PATH.
  PATH=$PATH:/usr/sbin:/sbin command -v nginx >/dev/null 2>&1 || missing nginx-light nginx nginx
  command -v curl >/dev/null 2>&1 || missing curl curl curl
  command -v openssl >/dev/null 2>&1 || missing openssl openssl openssl
  # The tests compare our HPACK with that of libnghttp2.
  "$python" -c 'import ctypes; ctypes.CDLL("libnghttp2.so.14")' 2>/dev/null ||
    missing libnghttp2-14 libnghttp2 libnghttp2
}

need_kernel() {
  need_test
  # The virtual machine and the tools for its file system. Its tests use strace and wrk.
  command -v qemu-system-x86_64 >/dev/null 2>&1 || missing qemu-system-x86 qemu-system-x86-core qemu-system-x86
  [ -e /usr/lib/qemu/virtiofsd ] || [ -e /usr/libexec/virtiofsd ] || {
    case $(apt-cache policy virtiofsd 2>/dev/null) in
      *Candidate:\ [0-9]*) missing virtiofsd virtiofsd virtiofsd ;;
      *) missing qemu-system-common virtiofsd virtiofsd ;;
    esac
  }
  command -v busybox >/dev/null 2>&1 || missing busybox-static busybox busybox
  command -v cpio >/dev/null 2>&1 || missing cpio cpio cpio
  PATH=$PATH:/usr/sbin:/sbin command -v depmod >/dev/null 2>&1 || missing kmod kmod kmod
  command -v strace >/dev/null 2>&1 || missing strace strace strace
  command -v wrk >/dev/null 2>&1 || missing wrk wrk wrk
}

need_budget() {
  need_test
  command -v valgrind >/dev/null 2>&1 || missing valgrind valgrind valgrind
  command -v strace >/dev/null 2>&1 || missing strace strace strace
}

need_bench() {
  need_test
  command -v wrk >/dev/null 2>&1 || missing wrk wrk wrk
}

with_apt() {
  # Packages start their services at once (nginx on port 80). Prevent that: only the programs are needed.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
  fi
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086
  set -- apt-get install --yes --quiet --no-install-recommends $debian
  # First try the existing package lists, then update them.
  "$@" </dev/null || { apt-get update --quiet </dev/null && "$@" </dev/null; }
}

"need_$what"
[ -z "$debian" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing:$debian"
  with_apt
  exit 0
fi
{
  echo "error: required packages are missing ($what). Install them:"
  echo
  echo "  Debian, Ubuntu   sudo apt-get install$debian"
  echo "  Fedora           sudo dnf install$fedora"
  echo "  Arch             sudo pacman -S --needed$arch"
  echo
  echo "and run make again. (As root on Debian, make installs them itself.)"
} >&2
exit 1
