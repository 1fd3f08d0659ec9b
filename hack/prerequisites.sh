#!/usr/bin/env bash
# Checks that what the build and the test cluster need is on this machine, and installs Debian's packages where it can
# (as root, with apt-get). Prints one line for each thing that is missing, and fails if anything is.
#
#   hack/prerequisites.sh build   to build the three binaries
#   hack/prerequisites.sh e2e     for the test cluster too
set -euo pipefail

# command, the Debian package that has it, what it is for
build=(
    "cargo - the Rust toolchain (https://rustup.rs)"
    "cc gcc linking"
)
e2e=(
    "go - building Kubernetes and containerd for the test cluster, 1.26 or newer"
    "ip iproute2 the nodes' network namespaces"
    "nsenter util-linux entering the nodes"
    "runc runc the nodes' containers"
    "iptables iptables the bridge plugin's ipMasq"
    "sqlite3 sqlite3 looking into the nodes' stores"
    "busybox busybox-static the pods' image"
)

case "${1:-e2e}" in
    build) wanted=("${build[@]}") ;;
    e2e) wanted=("${build[@]}" "${e2e[@]}") ;;
    *) echo "usage: $0 [build|e2e]" >&2; exit 2 ;;
esac

has() {
    # sbin is not on everybody's PATH, and root's tools live there.
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1
}

packages=()
for line in "${wanted[@]}"; do
    read -r command package _ <<<"$line"
    if ! has "$command" && [ "$package" != - ]; then packages+=("$package"); fi
done
if [ ${#packages[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && has apt-get; then
    echo "installing Debian packages: ${packages[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
fi

missing=0
for line in "${wanted[@]}"; do
    read -r command package purpose <<<"$line"
    if has "$command"; then continue; fi
    missing=1
    if [ "$package" = - ]; then
        echo "missing: $command, for $purpose" >&2
    else
        echo "missing: $command, for $purpose; on Debian: apt-get install $package" >&2
    fi
done
if [ "${1:-e2e}" = e2e ] && [ "$(id -u)" != 0 ]; then
    missing=1
    echo "missing: root, for network namespaces, kubelet and containerd" >&2
fi
exit $missing
