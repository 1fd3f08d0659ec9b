#!/usr/bin/env bash
# For people with docker and kind: a cluster of two workers in kind, with nv-ipam running in it, its pool and a pod network
# that uses it. Needs cargo too: the three programs are built here and copied into the nodes.
#
#   hack/kind.sh up      brings it up
#   hack/kind.sh down    removes it
#   hack/kind.sh test    runs the tests that need an API server only, on a kind cluster of their own
set -euo pipefail
cd "$(dirname "$0")/.."

cluster=nv-ipam
target="$(uname -m)-unknown-linux-musl"
test_cluster=nv-ipam-test
state="${XDG_CACHE_HOME:-$HOME/.cache}/nv-ipam-kind"
export KUBECONFIG="$state/kubeconfig"

say() { echo "kind.sh: $*" >&2; }

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || { say "no \`$program\` in PATH"; exit 1; }
    done
}

# A kubeconfig with a ServiceAccount's token: our processes have the rights of their manifests and no others.
account() { # NAME SERVER FILE
    local token ca
    token="$(kubectl -n kube-system create token "$1" --duration=24h)"
    ca="$(kubectl config view --raw -o jsonpath='{.clusters[0].cluster.certificate-authority-data}')"
    cat >"$3" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: kind, cluster: {server: "$2", certificate-authority-data: "$ca"}}]
users: [{name: $1, user: {token: "$token"}}]
contexts: [{name: kind, context: {cluster: kind, user: $1}}]
current-context: kind
YAML
}

start() { # NODE PROGRAM FLAG...
    local node=$1 program=$2
    shift 2
    docker exec -d "$node" sh -c 'log=$1; shift; exec "$@" >"/var/log/$log.log" 2>&1' sh \
        "$program" "/nv-ipam-bin/$program" --kubeconfig="/nv-ipam-bin/$program.kubeconfig" "$@"
}

install_on() { # NODE
    docker exec "$1" mkdir -p /nv-ipam-bin /etc/cni/net.d/nv-ipam.d /var/lib/cni/nv-ipam
    docker cp -q "target/$target/release/ipam-controller" "$1:/nv-ipam-bin/"
    docker cp -q "target/$target/release/ipam-node" "$1:/nv-ipam-bin/"
    docker cp -q "target/$target/shim/nv-ipam" "$1:/nv-ipam-bin/"
    docker cp -q "$state/ipam-controller.kubeconfig" "$1:/nv-ipam-bin/"
    docker cp -q "$state/ipam-node.kubeconfig" "$1:/nv-ipam-bin/"
}

up() {
    say "building (static, so that it does not matter what the nodes are)"
    rustup target add "$target"
    cargo build --release --target "$target" -p operator -p node
    cargo build --profile shim --target "$target" -p cni

    mkdir -p "$state"
    say "starting a kind cluster"
    kind create cluster --name "$cluster" --wait 120s --config=- <<YAML
apiVersion: kind.x-k8s.io/v1alpha4
kind: Cluster
nodes: [{role: control-plane}, {role: worker}, {role: worker}]
YAML
    kubectl apply -f config/crd -f config/operator -f config/node
    kubectl wait --for=condition=Established --timeout=30s crd ippools.nv-ipam.nvidia.com

    local server="https://$cluster-control-plane:6443"
    account nv-ipam-controller "$server" "$state/ipam-controller.kubeconfig"
    account nv-ipam-node "$server" "$state/ipam-node.kubeconfig"

    local node
    install_on "$cluster-control-plane"
    start "$cluster-control-plane" ipam-controller --leader-elect=true
    for node in "$cluster-worker" "$cluster-worker2"; do
        kubectl label --overwrite node "$node" kubernetes.io/role=worker
        install_on "$node"
        start "$node" ipam-node --node-name="$node" --cni-nv-ipam-bin-file=/nv-ipam-bin/nv-ipam
        # kind has no bridge plugin; ptp and host-local are what it brings. ptp takes addresses from any IPAM.
        docker exec -i "$node" sh -c 'cat >/etc/cni/net.d/05-mynet.conf' <<'JSON'
{
    "cniVersion": "0.4.0",
    "name": "mynet",
    "type": "ptp",
    "ipMasq": true,
    "ipam": { "type": "nv-ipam", "poolName": "pool1" }
}
JSON
    done
    kubectl apply -f config/samples/pool1.yaml
    say "done. export KUBECONFIG=$KUBECONFIG; logs are in /var/log/ipam-*.log on the nodes; hack/kind.sh down removes it"
}

case "${1:-}" in
    up)
        # The daemon brings SQLite, which is C. (Debian: musl-tools)
        need docker kind kubectl cargo rustup musl-gcc
        up
        ;;
    test)
        need docker kind kubectl cargo
        mkdir -p "$state"
        KUBECONFIG="$state/test-kubeconfig"
        trap 'kind delete cluster --name "$test_cluster"' EXIT
        kind create cluster --name "$test_cluster" --wait 120s
        E2E_EXISTING_CLUSTER=1 cargo test -p e2e
        ;;
    down)
        need kind
        kind delete cluster --name "$cluster"
        rm -rf "$state"
        ;;
    *)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
        exit 2
        ;;
esac
