#!/usr/bin/env bash
# Fuzzes each target, or those that are named, for FUZZ_SECONDS; `make fuzz` is the usual way in. What it found to be of use
# is kept in target/fuzz/corpus, and an input that fails in target/fuzz/artifacts.
#
#   FUZZ_SECONDS=600 hack/fuzz.sh ippool cidrpool
set -euo pipefail
cd "$(dirname "$0")/.."

# libFuzzer's instrumentation is not in a stable compiler. A fixed day, so that it builds tomorrow too.
NIGHTLY=nightly-2026-05-20

missing() { echo "missing: $1" >&2; exit 1; }
command -v c++ >/dev/null || missing "a C++ compiler, for libFuzzer; on Debian: apt-get install g++"
command -v "${CARGO_FUZZ:=cargo-fuzz}" >/dev/null || missing "cargo-fuzz; make fuzz builds it"
command -v rustup >/dev/null || missing "rustup, for Rust $NIGHTLY; see https://rustup.rs"
if ! rustup run "$NIGHTLY" rustc --version >/dev/null 2>&1; then
    rustup toolchain install "$NIGHTLY" --profile minimal >/dev/null 2>&1 || missing "Rust $NIGHTLY, which rustup could not install"
fi

work=$PWD/target/fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls fuzz/targets | sed 's/\.rs$//')

# The dependencies that everything else is tested with.
cp Cargo.lock fuzz/Cargo.lock
# No sanitizer: there is no unsafe code of ours to find, and all is twice as fast without. All targets, as they are linked
# from the same libraries.
rustup run "$NIGHTLY" "$CARGO_FUZZ" build --sanitizer none --target-dir "$work/build" --fuzz-dir fuzz
programs=$work/build/$(rustup run "$NIGHTLY" rustc --print host-tuple)/release

failed=()
for target in "${targets[@]}"; do
    mkdir -p "$work/corpus/$target" "$work/artifacts/$target"
    echo "$target, ${FUZZ_SECONDS:=60} s"
    # New inputs go to the first folder. An input that takes 10 s is one that never ends.
    "$programs/$target" "$work/corpus/$target" "fuzz/corpus/$target" -max_total_time="$FUZZ_SECONDS" -timeout=10 \
        -artifact_prefix="$work/artifacts/$target/" -verbosity=0 -print_funcs=0 -print_final_stats=1 || failed+=("$target")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}. The inputs are in $work/artifacts: mend what they show, and put them into fuzz/corpus" >&2
    exit 1
fi
