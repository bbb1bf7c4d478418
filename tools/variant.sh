#!/bin/sh
# variant.sh DIR OPTION...: builds Ringway with these meson options in DIR and puts the package into DIR/site, where
# PYTHONPATH finds it before the one that is installed. Compiles only what has changed.
set -eu
folder=$1
shift
site=$(pwd)/$folder/site
mkdir -p "$folder"
log=$folder/build.log
run() {
  "$@" >>"$log" 2>&1 </dev/null || {
    cat "$log" >&2
    exit 1
  }
}
: >"$log"
echo "building $folder (the first time: some minutes) ..."
if [ ! -e "$folder/build.ninja" ]; then
  run meson setup "$folder" "-Dpython.platlibdir=$site" "-Dpython.purelibdir=$site" "$@"
fi
python3 tools/progress.py meson compile -C "$folder"
run meson install -C "$folder" --no-rebuild
