#!/bin/sh
# Tests of the iOS app on Linux: the core's tests, and the app's types against signatures of Apple's modules.
#
#   apps/ios/test.sh         PYTHON=... for the parts in Python, EDGE_SCS_TOOLS=... for the folder of tools
#
# Installs Swift into apps/.tools (git-ignored). Prints one line a check: "pass", "skip" with its reason, or "FAIL".
set -u

here=$(cd "$(dirname "$0")" && pwd)
apps=$(dirname "$here")
tools=${EDGE_SCS_TOOLS:-$apps/.tools}
root=$tools/swift
venv=$(dirname "$apps")/.venv/bin/python
[ -x "$venv" ] || venv=python3
PYTHON=${PYTHON:-$venv}
export PYTHONPATH="$(dirname "$apps")${PYTHONPATH:+:$PYTHONPATH}"
failed=0
runners=
log=$tools/ios-test.log
mkdir -p "$tools"

pass() { echo "pass  ios: $1"; }
skip() { echo "skip  ios: $1"; }
fail() {
    echo "FAIL  ios: $1"
    [ ! -s "$log" ] || tail -n 25 "$log" | sed 's/^/      /'
    failed=1
}

finish() {
    for runner in $runners; do kill "$runner" 2>/dev/null; done
    mountpoint -q "$root/proc" 2>/dev/null && umount "$root/proc"
    exit "$failed"
}
trap finish EXIT
trap 'exit 130' INT TERM

inside() { chroot "$root" env HOME=/root LANG=C.UTF-8 "$@"; }

# check WORDS COMMAND...: pass where the command does
check() {
    words=$1
    shift
    if "$@" >"$log" 2>&1; then pass "$words"; else fail "$words"; fi
}

# refused WORDS TEXT COMMAND...: pass where the command fails and says TEXT
refused() {
    words=$1 text=$2
    shift 2
    if "$@" >"$log" 2>&1; then
        : >"$log"
        fail "$words (nothing was noticed)"
    elif grep -q "$text" "$log"; then
        pass "$words"
    else
        fail "$words (failed otherwise)"
    fi
}

reason=$("$here/toolchain.sh" "$root")
case $? in
    0) ;;
    3)
        skip "Swift: $reason"
        exit
        ;;
    *)
        : >"$log"
        fail "Swift could not be installed: $reason"
        exit
        ;;
esac
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc" 2>"$log" || {
    skip "Swift: proc cannot be mounted in the chroot ($(cat "$log"))"
    exit
}

# The sources as they are now; what was built stays, for the next time.
mkdir -p "$root/src/ios"
rm -rf "$root/src/testdata" "$root/src/ios/App" "$root/src/ios/Stubs" "$root/src/modules" "$root/src/models"
rm -rf "$root/src/ios/EdgeSCSCore/Sources" "$root/src/ios/EdgeSCSCore/Tests"
cp -Rp "$apps/testdata" "$root/src/"
cp -Rp "$here/." "$root/src/ios/"
cp -Rp "$here/App/Resources/Models" "$root/src/models"

swift_test() {
    inside env EDGE_SCS_TESTDATA="$1" EDGE_SCS_LATENCY=/src/latency.json EDGE_SCS_MODELS=/src/models EDGE_SCS_REAL="${3:-}" \
        sh -c 'cd /src/ios/EdgeSCSCore && exec nice -n 10 swift test -j 1 '"${2:-}"
}
check "EdgeSCSCore: all tests, on the golden vectors" swift_test /src/testdata
if [ "$failed" = 0 ]; then
    grep 'Executed .* tests' "$log" | tail -n 1 | sed 's/^[[:space:]]*/      /'
    for vector in "$apps"/testdata/*.json; do
        name=$(basename "$vector" .json)
        rm -rf "$root/src/changed"
        cp -R "$apps/testdata" "$root/src/changed"
        "$PYTHON" "$apps/change_vector.py" "$root/src/changed/$name.json" || failed=1
        refused "a changed number in $name.json is noticed" "error: VectorsTests" \
            swift_test /src/changed "--skip-build --filter VectorsTests"
    done
fi

# Continuous programs under the core. Pipes lead out of the chroot: ExecuTorch's libraries are not in there. What a runner
# says goes to NAME.log, not between the tests' lines.
real=$root/src/real
build_runner() { "$apps/runner/build.sh" "$PYTHON" "$tools/runner"; }
make_real() { rm -rf "$real" && mkdir -p "$real" && "$PYTHON" "$apps/runner/real.py" "$real"; }
run_real() {
    for program in "$real"/models/*/*.pte; do
        name=$(basename "$(dirname "$program")")
        mkfifo "$real/$name.requests" "$real/$name.answers"
        LD_LIBRARY_PATH=$(cat "$tools/runner/libraries") "$tools/runner/runner" "$program" \
            <"$real/$name.requests" >"$real/$name.answers" 2>"$real/$name.log" &
        runners="$runners $!"
    done
    swift_test /src/testdata "--skip-build --filter RealArtifactTests" /src/real && [ "$(grep -c '^continuous .* dB' "$log")" = 6 ]
}
if [ "$failed" != 0 ]; then
    :
elif ! "$PYTHON" -c 'import edge_scs.lowering.pipeline, executorch, skimage' 2>/dev/null; then
    skip "continuous programs: $PYTHON cannot import edge_scs with its extra [export], and scikit-image"
elif ! command -v g++ >/dev/null; then
    skip "continuous programs: no g++ to build apps/runner (apt-get install g++)"
else
    check "a runner for .pte files is built on the wheel" build_runner
    check "continuous .pte files are exported" make_real
    check "they make Python's images under the core, at least 80 dB" run_real
    grep -E '^(continuous|golden).* dB' "$log" | sed 's/^/      /'
fi

# Apple's modules as signatures only.
stubs="Darwin CoreGraphics ImageIO UniformTypeIdentifiers CryptoKit UIKit CoreVideo CoreML SwiftUI PhotosUI"
modules() {
    inside sh -ec '
        cd /src/ios && mkdir -p /src/modules /src/modules/executorch
        swiftc -swift-version 6 -emit-module -parse-as-library -module-name EdgeSCSCore \
            -o /src/modules/EdgeSCSCore.swiftmodule EdgeSCSCore/Sources/EdgeSCSCore/*.swift
        for module in "$@"; do
            folder=/src/modules
            [ "$module" != ExecuTorch ] || folder=/src/modules/executorch
            files=Stubs/$module.swift
            [ ! -d "Stubs/$module" ] || files=Stubs/$module/*.swift
            nice -n 10 swiftc -swift-version 5 -emit-module -parse-as-library -I /src/modules -module-name "$module" \
                -o "$folder/$module.swiftmodule" $files
        done' sh $stubs ExecuTorch
}
typecheck() {
    inside sh -c 'cd /src/ios && exec nice -n 10 swiftc -swift-version 6 \
        -warnings-as-errors -typecheck -parse-as-library -module-name EdgeSCSApp -I /src/modules '"$1"' App/Sources/*/*.swift'
}
check "signatures of Apple's modules and of ExecuTorch compile" modules
check "the app's types, Core ML only" typecheck ""
check "the app's types, with ExecuTorch" typecheck "-I /src/modules/executorch"
# The Swift of docs/drive-it-yourself.md, as it stands there.
snippet() {
    awk '/^```swift title="Drive.swift"/{on=1;next} /^```/{on=0} on' "$apps/../docs/drive-it-yourself.md" \
        >"$root/src/ios/Drive.swift"
    [ -s "$root/src/ios/Drive.swift" ] && inside sh -c 'cd /src/ios && exec nice -n 10 swiftc -swift-version 5 \
        -warnings-as-errors -typecheck -parse-as-library -I /src/modules Drive.swift'
}
check "the Swift of docs/drive-it-yourself.md" snippet
plant() {
    sed "$2" "$here/App/Sources/$1" >"$root/src/ios/App/Sources/$1"
    cmp -s "$here/App/Sources/$1" "$root/src/ios/App/Sources/$1" && echo "FAIL  ios: nothing was planted in $1" && failed=1
}
for planted in \
    'Engines/CoreMLEngine.swift|s/MLFeatureValue(multiArray: array)/MLFeatureValue(multiArray: tensor)/|cannot convert value' \
    'Engines/ExecuTorchEngine.swift|s/answer.scalars()/answer.values/|has no member' \
    'Views/EnhanceView.swift|s/studio.refuse(error)/studio.reject(error)/|EnhanceView.swift:.*error:'; do
    file=${planted%%|*}
    text=${planted##*|}
    edit=${planted#*|}
    plant "$file" "${edit%|*}"
    refused "a type error planted in $file is noticed" "$text" typecheck "-I /src/modules/executorch"
    cp -p "$here/App/Sources/$file" "$root/src/ios/App/Sources/$file"
done
check "swift-format has nothing to say" inside sh -c 'cd /src/ios && swift format lint --strict -r \
    --configuration .swift-format App/Sources EdgeSCSCore/Package.swift EdgeSCSCore/Sources EdgeSCSCore/Tests'

if ! "$PYTHON" -c 'import edge_scs.phones.results' 2>/dev/null; then
    skip "the report's reader: $PYTHON cannot import edge_scs.phones.results"
elif [ -e "$root/src/latency.json" ]; then
    check "the report's reader takes the latency JSON that Swift wrote" "$PYTHON" -c '
import sys
from pathlib import Path
from edge_scs.phones.results import read_device_result
read_device_result(Path(sys.argv[1]))' "$root/src/latency.json"
fi
if [ -n "$(find "$root/src/models" -name prepared.json)" ]; then
    check "Swift digests the prepared models as Python did" "$PYTHON" -c '
import hashlib, json, sys
from pathlib import Path
streams = sorted(Path(sys.argv[1]).rglob("*.stream"))
assert streams, "nothing was digested"
for stream in streams:
    manifest = json.loads(stream.with_name(stream.stem + ".json").read_text())
    assert hashlib.sha256(stream.read_bytes()).hexdigest() == manifest["sha256"], stream' "$root/src/models"
else
    skip "prepared models: none; run edge-scs apps prepare --ios"
fi
