#!/usr/bin/env bash
# Checks that what the build and the test cluster need is on this machine, and installs Debian's packages where it can
# (as root, with apt-get). Prints one line for each thing that is missing, and fails if anything is.
#
#   hack/prerequisites.sh build   to build and test the programs
#   hack/prerequisites.sh e2e     for the test cluster too
set -euo pipefail
cd "$(dirname "$0")/.."

# Root's tools and Go are not on everybody's PATH.
PATH="$PATH:/usr/sbin:/sbin:/usr/local/go/bin"

has() { command -v "$1" >/dev/null 2>&1; }

# A compiler without the C library's headers links nothing.
has_compiler() { has cc && [ -e /usr/include/stdio.h ]; }

# The cluster's programs say which Go they need.
go_wanted() { awk '$1 == "go" { print $2 }' e2e/go/*/go.mod | sort --version-sort | tail -n 1; }
has_go() {
    has go && [ "$(printf '%s\n' "go$(go_wanted)" "$(go env GOVERSION)" | sort --version-sort | head -n 1)" = "go$(go_wanted)" ]
}

# The pods' image has no libraries. Many machines have a busybox that needs some.
has_static_busybox() { has busybox && ! ldd "$(command -v busybox)" >/dev/null 2>&1; }

# Nothing may have mounted one yet, and then the module isn't loaded.
has_overlay() {
    grep -qw overlay /proc/filesystems || { modprobe overlay 2>/dev/null && grep -qw overlay /proc/filesystems; }
}

is_root() { [ "$(id -u)" = 0 ]; }

# What tells that it is there | the Debian packages that have it | what it is
build=(
    "has cargo||Rust, see https://rustup.rs"
    "has_compiler|gcc libc6-dev|a C compiler, for linking and for SQLite"
)
e2e=(
    "is_root||root, for the nodes' namespaces and containers"
    "has_go||Go $(go_wanted) or newer, which builds Kubernetes and containerd for the test cluster"
    "has ip|iproute2|ip, for links between the nodes"
    "has unshare|util-linux|unshare, for the nodes' namespaces"
    "has nsenter|util-linux|nsenter, for running programs on the nodes"
    "has mount|mount|mount, for the nodes' own folders"
    "has runc|runc|runc, for containers"
    "has iptables|iptables|iptables, for the bridge plugin's ipMasq"
    "has_static_busybox|busybox-static|a static busybox, for the pods' image"
    "has sqlite3|sqlite3|sqlite3, for looking into the nodes' stores"
    "has_overlay||the kernel's overlay file system"
)

case "${1:-e2e}" in
    build) wanted=("${build[@]}") ;;
    e2e) wanted=("${build[@]}" "${e2e[@]}") ;;
    *) echo "usage: $0 [build|e2e]" >&2; exit 2 ;;
esac

packages=()
for line in "${wanted[@]}"; do
    IFS='|' read -r check package _ <<<"$line"
    if ! $check && [ -n "$package" ]; then
        # Some lines name two packages.
        read -ra more <<<"$package"
        packages+=("${more[@]}")
    fi
done
if [ ${#packages[@]} -gt 0 ] && is_root && has apt-get; then
    echo "installing Debian's ${packages[*]}..." >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
fi

missing=0
for line in "${wanted[@]}"; do
    IFS='|' read -r check package what <<<"$line"
    if $check; then continue; fi
    missing=1
    echo "missing: $what${package:+; on Debian: apt-get install $package}" >&2
done
exit $missing
