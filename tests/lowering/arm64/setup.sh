#!/bin/sh
# Make DIR (default: arm64-root) fit for test_arm64.py: an arm64 system's libraries, ExecuTorch's arm64 wheel, the runner.
# Debian or Ubuntu, as root: it installs qemu-user-static and the arm64 cross compiler, and downloads about 170 MB.
# Usage: tests/lowering/arm64/setup.sh DIR && EDGE_SCS_ARM64=DIR pytest -m arm64
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-arm64-root}
mkdir -p "$dir/root" "$dir/debs" "$dir/wheels" "$dir/site"
dir=$(cd "$dir" && pwd)
python=${PYTHON:-python3}

apt-get install -y --no-install-recommends qemu-user-static g++-aarch64-linux-gnu
foreign=$(dpkg --print-foreign-architectures | grep -c '^arm64$' || true)
[ "$foreign" -gt 0 ] || dpkg --add-architecture arm64
apt-get update
(cd "$dir/debs" && apt-get download libc6:arm64 libgcc-s1:arm64 libstdc++6:arm64 zlib1g:arm64 libexpat1:arm64 \
    libgomp1:arm64 libpython3.11:arm64)
[ "$foreign" -gt 0 ] || dpkg --remove-architecture arm64
for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir/root"; done

# torch is needed to resolve symbols only: 2.10.0 is the last arm64 wheel on PyPI that loads without CUDA's libraries.
for package in executorch==1.4.1 torch==2.10.0; do
    "$python" -m pip download --no-deps --platform manylinux_2_28_aarch64 --python-version 311 --only-binary=:all: \
        --dest "$dir/wheels" "$package"
done
for wheel in "$dir"/wheels/*.whl; do "$python" -m zipfile -e "$wheel" "$dir/site"; done

# cpuinfo, inside XNNPACK, crashes without these.
mkdir -p "$dir/root/proc" "$dir/root/sys/devices/system/cpu"
printf 'processor\t: 0\nFeatures\t: fp asimd crc32 atomics fphp asimdhp asimdrdm\nCPU implementer\t: 0x41\n'\
'CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n' > "$dir/root/proc/cpuinfo"
echo 0 > "$dir/root/sys/devices/system/cpu/possible"
echo 0 > "$dir/root/sys/devices/system/cpu/present"

include=$dir/site/executorch/include
aarch64-linux-gnu-gcc -O2 -w -std=gnu11 -shared -fPIC -o "$dir/libpthreadpool_serial.so" "$here/pthreadpool_serial.c"
aarch64-linux-gnu-g++ -std=c++17 -O1 -DET_LOG_ENABLED=0 -DC10_USING_CUSTOM_GENERATED_MACROS -I "$include" \
    -I "$include/executorch/runtime/core/portable_type/c10" "$here/runner.cpp" \
    "$dir"/site/executorch/extension/pybindings/_portable_lib*.so -Wl,--allow-shlib-undefined -o "$dir/runner"
echo "ready: EDGE_SCS_ARM64=$dir"
