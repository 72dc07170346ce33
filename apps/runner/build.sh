#!/bin/sh
# Build the runner against the ExecuTorch wheel of a Python environment: apps/runner/build.sh PYTHON FOLDER
# Leaves FOLDER/runner, and FOLDER/libraries: what LD_LIBRARY_PATH has to be. Needs g++ and a Python with a shared library.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder_of() { "$python" -c 'import importlib.util, sys; print(*importlib.util.find_spec(sys.argv[1]).submodule_search_locations)' "$1"; }
python=$1
site=$(folder_of executorch)
torch=$(folder_of torch)
# The wheel's libraries leave Python's own symbols to the program.
libpython=$("$python" -c 'from sysconfig import get_config_var as get; print(get("LIBDIR"), get("INSTSONAME"), sep="/")')
case $libpython in *.so*) ;; *) echo "this Python has no shared library: $libpython" >&2; exit 3 ;; esac
library=$(ls "$site"/extension/pybindings/_portable_lib*.so)
c10=$site/include/executorch/runtime/core/portable_type/c10
mkdir -p "$2"
g++ -std=c++17 -O1 -w -DET_LOG_ENABLED=0 -DC10_USING_CUSTOM_GENERATED_MACROS -I "$site/include" -I "$c10" \
    "$here/runner.cpp" "$library" -Wl,--no-as-needed "$libpython" -Wl,--allow-shlib-undefined -o "$2/runner"
echo "$site/extension/pybindings:$site/backends/qualcomm:$torch/lib:$(dirname "$libpython")" > "$2/libraries"
