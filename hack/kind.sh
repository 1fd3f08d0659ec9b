#!/usr/bin/env bash
# For people with docker, kind and Rust: a cluster of two workers in kind, with nv-ipam running in it, a pool, a network that
# takes its addresses from it, and pods. The three programs are built here and copied into the nodes.
#
#   hack/kind.sh up      brings it up, and shows the pool and the pods' addresses
#   hack/kind.sh down    removes it
#   hack/kind.sh test    runs the tests that need an API server only, on a kind cluster of their own
set -euo pipefail
cd "$(dirname "$0")/.."

cluster=nv-ipam
target="$(uname -m)-unknown-linux-musl"
built="${CARGO_TARGET_DIR:-target}/$target"

say() { echo "kind.sh: $*" >&2; }

# Prints a command as one would type it, then runs it.
show() {
    local word line='$'
    for word in "$@"; do
        case $word in *[!A-Za-z0-9_./:=@-]*) word="'$word'" ;; esac
        line+=" $word"
    done
    printf '\n%s\n' "$line"
    "$@"
}

missing=0
need() { # PROGRAM WHAT
    command -v "$1" >/dev/null || { say "missing: $1, $2"; missing=1; }
}

need_cluster() {
    need docker "whose containers are the nodes"
    need kind "see https://kind.sigs.k8s.io"
    need kubectl "see https://kubernetes.io/docs/tasks/tools"
    need cargo "Rust, see https://rustup.rs"
    if command -v docker >/dev/null && ! docker info >/dev/null 2>&1; then
        say "missing: a docker daemon that answers; \`docker info\` says more"
        missing=1
    fi
}

has_cluster() { kind get clusters 2>/dev/null | grep -qx "$cluster"; }

# Ends here if anything is in the way, before minutes are spent.
check() {
    if [ $missing = 1 ]; then exit 1; fi
    if has_cluster; then
        say "kind has a cluster \`$cluster\` already; remove it with \`kind delete cluster --name $cluster\`"
        exit 1
    fi
}

# Until the trap is taken away, the cluster goes however this ends.
create() { # FLAG...
    trap remove EXIT
    mkdir -p "$state"
    kind create cluster --name "$cluster" --wait 120s "$@"
}

# A node that docker is still making, because Ctrl-C came then, outlives its first removal.
remove() {
    kind delete cluster --name "$cluster"
    while has_cluster; do
        sleep 1
        kind delete cluster --name "$cluster"
    done
    rm -rf "$state"
}

# A kubeconfig with a ServiceAccount's token: our processes have the rights of their manifests and no others.
account() { # NAME FILE
    local token ca
    token="$(kubectl -n kube-system create token "$1" --duration=720h)"
    ca="$(kubectl config view --raw -o jsonpath='{.clusters[0].cluster.certificate-authority-data}')"
    (umask 077 && cat >"$2") <<YAML
apiVersion: v1
kind: Config
clusters: [{name: kind, cluster: {server: "https://$cluster-control-plane:6443", certificate-authority-data: "$ca"}}]
users: [{name: $1, user: {token: "$token"}}]
contexts: [{name: kind, context: {cluster: kind, user: $1}}]
current-context: kind
YAML
}

# As a service of the node's systemd.
start() { # NODE PROGRAM FLAG...
    local node=$1 program=$2
    shift 2
    docker exec "$node" mkdir -p /nv-ipam-bin
    docker cp "$built/release/$program" "$node:/nv-ipam-bin/" >/dev/null
    docker cp "$state/$program.kubeconfig" "$node:/nv-ipam-bin/" >/dev/null
    docker exec "$node" systemd-run --quiet --unit="$program" --property=Restart=on-failure --property=RestartSec=3 \
        "/nv-ipam-bin/$program" --kubeconfig="/nv-ipam-bin/$program.kubeconfig" "$@"
    if ! docker exec "$node" timeout 30 sh -c 'until curl -fso /dev/null http://127.0.0.1:8081/readyz; do sleep 0.2; done'; then
        say "$program on $node did not get ready; the end of its log:"
        docker exec "$node" journalctl --no-pager -n 20 -o cat -u "$program" >&2
        return 1
    fi
}

pods() { # NODE...
    local node colour
    for node in "$@"; do
        for colour in blue green; do
            cat <<YAML
---
apiVersion: v1
kind: Pod
metadata: {name: $colour-on-$node}
spec:
  nodeName: $node
  terminationGracePeriodSeconds: 1
  containers: [{name: sleep, image: "busybox:1.37", command: [sleep, "2147483647"]}]
YAML
        done
    done
}

up() {
    say "building, static, so that it does not matter what the nodes are (the first time takes minutes)"
    rustup target add "$target"
    cargo build --release --target "$target" -p operator -p node
    cargo build --profile shim --target "$target" -p cni

    say "starting a kind cluster"
    create --config=- <<YAML
apiVersion: kind.x-k8s.io/v1alpha4
kind: Cluster
nodes: [{role: control-plane}, {role: worker}, {role: worker}]
YAML
    local node workers=("$cluster-worker" "$cluster-worker2")
    kubectl wait --for=condition=Ready --timeout=120s node --all

    say "installing nv-ipam"
    kubectl apply -f config/crd -f config/operator -f config/node
    kubectl wait --for=condition=Established --timeout=30s crd ippools.nv-ipam.nvidia.com
    account nv-ipam-controller "$state/ipam-controller.kubeconfig"
    account nv-ipam-node "$state/ipam-node.kubeconfig"
    kubectl label --overwrite node "${workers[@]}" kubernetes.io/role=worker
    kubectl apply -f config/samples/pool1.yaml
    start "$cluster-control-plane" ipam-controller --leader-elect=true
    for node in "${workers[@]}"; do
        kubectl -n kube-system wait ippool pool1 --timeout=30s \
            --for=jsonpath="{.status.allocations[?(@.nodeName==\"$node\")].nodeName}=$node"
        docker exec "$node" mkdir -p /nv-ipam-bin /etc/cni/net.d/nv-ipam.d /var/lib/cni/nv-ipam
        docker cp "$built/shim/nv-ipam" "$node:/nv-ipam-bin/" >/dev/null
        start "$node" ipam-node --node-name="$node" --cni-nv-ipam-bin-file=/nv-ipam-bin/nv-ipam
        # kind has no bridge plugin; ptp and host-local are what it brings. ptp takes addresses from any IPAM. The runtime
        # takes the first file: this network, not kind's 10-kindnet.conflist.
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

    say "starting two pods on each worker"
    pods "${workers[@]}" | kubectl apply -f -
    if ! kubectl wait --for=condition=Ready --timeout=120s pod --all; then
        kubectl get events --field-selector type=Warning >&2
        return 1
    fi

    local green
    green="$(kubectl get pod "green-on-${workers[0]}" -o jsonpath='{.status.podIP}')"
    show kubectl -n kube-system get ippool pool1 \
        -o 'jsonpath={range .status.allocations[*]}{.nodeName} => {.startIP} - {.endIP}{"\n"}{end}'
    show kubectl get pods -o wide
    show kubectl exec "blue-on-${workers[0]}" -- ping -c 3 "$green"
    show docker exec "${workers[0]}" /nv-ipam-bin/ipam-node store list

    trap - EXIT
    cat <<TEXT

It goes on running:
  export KUBECONFIG=$KUBECONFIG
  docker exec ${workers[0]} journalctl -u ipam-node
  docker exec $cluster-control-plane journalctl -u ipam-controller
  hack/kind.sh down
TEXT
}

[ "${1:-}" != test ] || cluster=nv-ipam-test
state="${XDG_CACHE_HOME:-$HOME/.cache}/$cluster-kind"
export KUBECONFIG="$state/kubeconfig"

case "${1:-}" in
    up)
        need_cluster
        need rustup "for the target $target"
        need musl-gcc "for SQLite, which is C; on Debian: apt-get install musl-tools"
        check
        up
        ;;
    test)
        need_cluster
        check
        create
        E2E_EXISTING_CLUSTER=1 cargo test -p e2e
        ;;
    down)
        need docker "whose containers are the nodes"
        need kind "see https://kind.sigs.k8s.io"
        [ $missing = 0 ] || exit 1
        remove
        ;;
    *)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
        exit 2
        ;;
esac
