#!/bin/bash
# kernel_vm.sh SCRIPT: boots Debian's cloud kernel, which has kernel TLS, in a virtual machine (QEMU, software emulation)
# with this machine's files as its root. Runs SCRIPT in it with bash, prints its output, and fails if it fails.
#
# Downloads the kernel once and unpacks it in build/kernel, without installing it. KERNEL=new: Debian's newest kernel (from
# the backports) instead of this system's, in build/kernel-new. KERNEL_VM_SECONDS (1500): timeout of the machine.
# KERNEL_VM_COUNTED=1: one CPU whose clock counts instructions, 2 ns each, so that measurements are reproducible.
# Needs a Debian system and the packages of `tools/need.sh kernel`.
set -euo pipefail
script=$(readlink -f "$1")
cd "$(dirname "$0")/.."
here=$PWD/tools
tool=$here/kernel_vm.sh
work=$PWD/build/kernel${KERNEL:+-$KERNEL}
mkdir -p "$work"
cd "$work"

use_backports() {
  # With separate package lists, so that those of this system do not change.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -1)
  mkdir -p apt/lists/partial apt/cache/archives/partial
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie-backports main" >apt/sources.list
  export APT_CONFIG=$work/apt/apt.conf
  cat >"$APT_CONFIG" <<CONF
Dir::Etc { SourceList "$work/apt/sources.list"; SourceParts "-"; };
Dir::State::Lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
CONF
  apt-get update --quiet >&2
}

download() { # PACKAGE...: downloads and unpacks into ./unpacked
  apt-get download --quiet "$@" >&2
  for package in *.deb; do
    dpkg -x "$package" unpacked
    rm "$package"
  done
}

dependencies() { apt-cache depends "$1" | sed -n "s/.*Depends: \($2\).*/\1/p"; }

if [[ ! -d kernel ]]; then
  rm -rf unpacked initrd initrd.gz
  apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || apt-get update --quiet >/dev/null
  [[ ${KERNEL:-} != new ]] || use_backports
  image=$(dependencies linux-image-cloud-amd64 'linux-image-[^ ]*' | head -1)
  # The existing package lists can name a version that is no longer available.
  download "$image" || { apt-get update --quiet >&2 && download "$image"; }
  # Newer kernels consist of several packages.
  parts=$(dependencies "$image" 'linux-\(base\|binary\|modules\)-[0-9][^ ]*')
  # shellcheck disable=SC2086
  [[ -z $parts ]] || download $parts
  find unpacked -name '*.ko.xz' -exec busybox unxz {} +
  mv unpacked kernel
fi
modules=$(cd kernel && echo lib/modules/* usr/lib/modules/* | tr ' ' '\n' | grep -v '\*' | head -1)
release=${modules##*/}
vmlinuz=kernel/boot/vmlinuz-$release
[[ -e $vmlinuz ]] || vmlinuz=kernel/$modules/vmlinuz

if [[ ! -e initrd.gz || initrd.gz -ot $tool ]]; then
  from=kernel/$modules
  to=initrd/lib/modules/$release
  rm -rf initrd
  mkdir -p initrd/{bin,proc,sys,dev,root} "$to/kernel"
  cp "$(command -v busybox)" initrd/bin/
  cp "$from"/modules.* "$to/"
  for part in drivers/virtio fs/fuse net/tls crypto arch/x86/crypto lib; do
    [[ -d $from/kernel/$part ]] || continue
    mkdir -p "$to/kernel/$part"
    cp -r "$from/kernel/$part/." "$to/kernel/$part/"
  done
  PATH=$PATH:/sbin:/usr/sbin depmod -b initrd "$release"
  cat >initrd/init <<'INIT'
#!/bin/busybox sh
/bin/busybox mkdir -p /sbin /usr/bin /usr/sbin /mnt
/bin/busybox --install -s
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in virtio_pci virtiofs aesni-intel ghash-clmulni-intel gcm ccm chacha20poly1305 tls; do modprobe $m 2>/dev/null; done
mount -t virtiofs hostroot /mnt
mount -t proc proc /mnt/proc; mount -t sysfs sys /mnt/sys; mount --bind /dev /mnt/dev
mkdir -p /mnt/dev/pts /mnt/dev/shm; mount -t devpts pts /mnt/dev/pts; mount -t tmpfs -o size=1200m shm /mnt/dev/shm
for number in 0 1 2; do
  name=$(echo stdin stdout stderr | cut -d' ' -f$((number + 1)))
  ln -sf /proc/self/fd/$number /mnt/dev/$name
done
ln -sfn /proc/self/fd /mnt/dev/fd
hostname guest
ip link set lo up
script=$(sed -n 's/.*guest_script=\([^ ]*\).*/\1/p' /proc/cmdline)
echo; echo "guest starts"
# Keep temporary files in the machine's memory, which is fast.
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
  TMPDIR=/dev/shm chroot /mnt /bin/bash "$script"
echo "guest exit: $?"
poweroff -f
INIT
  chmod +x initrd/init
  (cd initrd && find . | cpio --quiet -o -H newc | gzip -1) >initrd.gz
fi

run=$(mktemp -d)
# The paths of Debian 12 and 13.
for virtiofsd in /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd; do [[ -x $virtiofsd ]] && break; done
"$virtiofsd" --socket-path="$run/fs.sock" -o source=/ -o cache=always -o sandbox=chroot >"$run/virtiofsd.log" 2>&1 &
files=$!
trap 'kill $files 2>/dev/null || true; rm -rf "$run"' EXIT
for _ in $(seq 100); do [[ -S $run/fs.sock ]] && break; sleep 0.1; done

cpus=(-accel "tcg,thread=multi" -smp 2)
# QEMU reuses translated code if its address does not change. Reading the clock of the CPU needs no system call.
quick="norandmaps mitigations=off clocksource=tsc tsc=reliable"
# Emulated string and vector instructions are many times slower than plain ones.
quick+=" clearcpuid=rep_good,erms,fsrm"
cpu=max,-erms,-fsrm,-avx2,-avx,-la57,-smap,-smep,-umip,-pku
if [[ -n ${KERNEL_VM_COUNTED:-} ]]; then
  cpus=(-accel "tcg,thread=single" -smp 1 -icount "shift=1")
else
  # It is the clock of this machine. When the machine is busy, the guest would measure its frequency wrong.
  quick+=" tsc_early_khz=$(python3 "$here/tsc_khz.py")"
fi
timeout "${KERNEL_VM_SECONDS:-1500}" qemu-system-x86_64 "${cpus[@]}" -cpu "$cpu" -m 3G \
  -object memory-backend-memfd,id=mem,size=3G,share=on -numa node,memdev=mem \
  -kernel "$vmlinuz" -initrd initrd.gz \
  -append "console=ttyS0 quiet panic=-1 $quick guest_script=$script" \
  -chardev socket,id=fs,path="$run/fs.sock" -device vhost-user-fs-pci,chardev=fs,tag=hostroot \
  -nographic -no-reboot </dev/null | sed -un 's/\r//g; /^guest starts/,/^guest exit/p' | tee "$run/output"
grep -q '^guest exit: 0$' "$run/output"
