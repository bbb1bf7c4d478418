#!/bin/bash
# kernel_vm.sh SCRIPT: boots Debian's cloud kernel, which has kernel TLS, in a virtual machine (QEMU, software emulation)
# with this machine's files as its root, runs SCRIPT in it with bash, prints what that prints, and ends as it ended.
#
# The kernel is downloaded once and unpacked, never installed: build/kernel keeps it. KERNEL_VM_SECONDS (1500): how long
# the machine may run. Needs a Debian system and what `tools/need.sh kernel` installs.
set -euo pipefail
script=$(readlink -f "$1")
cd "$(dirname "$0")/.."
work=$PWD/build/kernel
mkdir -p "$work"
cd "$work"

if ! ls kernel/boot/vmlinuz-* >/dev/null 2>&1; then
  rm -rf kernel initrd initrd.gz
  apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || apt-get update --quiet >/dev/null
  image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -1)
  # Lists that are there may name a version that is not offered any more.
  apt-get download --quiet "$image" >&2 || { apt-get update --quiet >&2 && apt-get download --quiet "$image" >&2; }
  dpkg -x "$image"_*.deb unpacked
  rm "$image"_*.deb
  mv unpacked kernel
fi
vmlinuz=$(ls kernel/boot/vmlinuz-* | head -1)
release=${vmlinuz#kernel/boot/vmlinuz-}

if [[ ! -e initrd.gz || initrd.gz -ot ../../tools/kernel_vm.sh ]]; then
  modules=initrd/lib/modules/$release
  rm -rf initrd
  mkdir -p initrd/{bin,proc,sys,dev,root} "$modules/kernel"
  cp "$(command -v busybox)" initrd/bin/
  cp kernel/lib/modules/"$release"/modules.* "$modules/"
  for part in drivers/virtio fs/fuse net/tls crypto arch/x86/crypto lib; do
    [[ -d kernel/lib/modules/$release/kernel/$part ]] || continue
    mkdir -p "$modules/kernel/$part"
    cp -r kernel/lib/modules/"$release"/kernel/"$part"/. "$modules/kernel/$part/"
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
# Temporary files stay in the machine, and are quick.
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
  TMPDIR=/dev/shm chroot /mnt /bin/bash "$script"
echo "guest exit: $?"
poweroff -f
INIT
  chmod +x initrd/init
  (cd initrd && find . | cpio --quiet -o -H newc | gzip -1) >initrd.gz
fi

run=$(mktemp -d)
# Where Debian 12 and 13 put it.
for virtiofsd in /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd; do [[ -x $virtiofsd ]] && break; done
"$virtiofsd" --socket-path="$run/fs.sock" -o source=/ -o cache=always -o sandbox=chroot >"$run/virtiofsd.log" 2>&1 &
files=$!
trap 'kill $files 2>/dev/null || true; rm -rf "$run"' EXIT
for _ in $(seq 100); do [[ -S $run/fs.sock ]] && break; sleep 0.1; done

timeout "${KERNEL_VM_SECONDS:-1500}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 3G -smp 2 \
  -object memory-backend-memfd,id=mem,size=3G,share=on -numa node,memdev=mem \
  -kernel "$vmlinuz" -initrd initrd.gz \
  -append "console=ttyS0 quiet panic=-1 guest_script=$script" \
  -chardev socket,id=fs,path="$run/fs.sock" -device vhost-user-fs-pci,chardev=fs,tag=hostroot \
  -nographic -no-reboot </dev/null | sed -un 's/\r//g; /^guest starts/,/^guest exit/p' | tee "$run/output"
grep -q '^guest exit: 0$' "$run/output"
