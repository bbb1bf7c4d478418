#!/bin/sh
# variant.sh DIR OPTION...: builds Ringway with these meson options in DIR, and installs the package in DIR/site. Set
# PYTHONPATH to DIR/site to use it instead of the installed one. Compiles only what has changed.
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
echo "building $folder (the first build takes some minutes) ..."
if [ ! -e "$folder/build.ninja" ]; then
  run meson setup "$folder" "-Dpython.platlibdir=$site" "-Dpython.purelibdir=$site" "$@"
fi
python3 tools/progress.py meson compile -C "$folder"
run meson install -C "$folder" --no-rebuild
