#!/usr/bin/env bash
# A Slurm on this machine, for development and for the tests marked `slurm`:
#
#   scripts/local_slurm.sh start [--nodes N]|stop|status
#   scripts/local_slurm.sh kill NODE|boot NODE       # of several nodes: let one fail, and bring it back
#
# Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge (`start` says so where they are missing). Processes are
# tracked without cgroups, so it also runs in containers. One node is this machine. Of several, node1 to nodeN, each is a network
# namespace with an address, a host name and a slurmd of its own; they share the files and the processors, of which each claims all.
# Its files are under /tmp/local-slurm; nothing outlives `stop` but logs.
set -euo pipefail

STATE=${LOCAL_SLURM_DIR:-/tmp/local-slurm}
export SLURM_CONF=/etc/slurm/slurm.conf
BRIDGE=slurm-nodes
NETWORK=198.18.77 # of the addresses that are set aside for measuring networks, so that it hides none in use

die() { echo "local_slurm: $*" >&2; exit 1; }

node_names() { if [ "$1" = 1 ]; then hostname -s; else seq -f node%g "$1"; fi; }

address() { echo "$NETWORK.$((${1#node} + 1))"; } # of node1 to nodeN; this machine is .1

is_namespace() { ip netns list 2>/dev/null | grep -qw "$1"; }

write_conf() {
    local nodes=$1 host cpus memory node at=""
    host=$(hostname -s)
    cpus=$(nproc)
    memory=$(awk -v nodes="$nodes" '/MemTotal/ {print int($2 / 1024 * 0.9 / nodes)}' /proc/meminfo)
    cat >"$SLURM_CONF" <<CONF
ClusterName=local
SlurmctldHost=$host$([ "$nodes" = 1 ] || echo "($NETWORK.1)")
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$STATE/ctld
SlurmdSpoolDir=$STATE/d/%n
SlurmctldLogFile=$STATE/log/slurmctld.log
SlurmdLogFile=$STATE/log/slurmd-%n.log
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,batch_sched_delay=0
# Soon enough for tests: how long a job may go on after its limit or a kill, how long a node may be silent before it counts as
# down, and when a requeued job may start again.
KillWait=5
SlurmdTimeout=30
MinJobAge=60
ReturnToService=2
JobRequeue=1
CONF
    for node in $(node_names "$nodes"); do
        mkdir -p "$STATE/d/$node"
        [ "$nodes" = 1 ] || at="NodeAddr=$(address "$node")"
        echo "NodeName=$node $at CPUs=$cpus Boards=1 SocketsPerBoard=1 CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=$memory"
    done >>"$SLURM_CONF"
    echo "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE OverTimeLimit=0 State=UP" >>"$SLURM_CONF"
    # Without cgroups: see the header.
    printf 'CgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n' >/etc/slurm/cgroup.conf
}

# Make a network namespace for each node, on a bridge that this machine is on, too.
make_nodes() {
    local nodes=$1 node
    command -v ip >/dev/null || die "no ip here: apt-get install iproute2"
    ip link add "$BRIDGE" type bridge || die "several nodes need network namespaces, which can't be made here"
    ip address add "$NETWORK.1/24" dev "$BRIDGE"
    ip link set "$BRIDGE" up
    printf '%s\n' "127.0.0.1 localhost" "$NETWORK.1 $(hostname -s)" >"$STATE/hosts"
    for node in $(node_names "$nodes"); do
        ip netns add "$node" || die "several nodes need network namespaces, which can't be made here"
        mkdir -p "$STATE/d/$node" # by which `stop` knows its own
        ip link add "$node" type veth peer name eth0 netns "$node"
        ip link set "$node" master "$BRIDGE" up
        ip -netns "$node" address add "$(address "$node")/24" dev eth0
        ip -netns "$node" link set eth0 up
        ip -netns "$node" link set lo up
        echo "$(address "$node") $node" >>"$STATE/hosts"
    done
}

boot() {
    if is_namespace "$1"; then
        # Not `ip netns exec`, which mounts a /sys without the cgroups that slurmd looks for.
        nsenter --net="/run/netns/$1" unshare --uts --mount sh -euc \
            'hostname "$1"; mount --bind "$2" /etc/hosts; exec slurmd -c' sh "$1" "$STATE/hosts"
    else
        slurmd -c
    fi
}

kill_node() {
    is_namespace "$1" || die "$1 is none of several nodes"
    ip netns pids "$1" | xargs --no-run-if-empty kill -KILL
}

start_munge() {
    pgrep -x munged >/dev/null && return
    mkdir -p /run/munge /var/log/munge /var/lib/munge /etc/munge
    [ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
    chown -R munge: /run/munge /var/log/munge /var/lib/munge /etc/munge
    chmod 700 /etc/munge /var/log/munge /var/lib/munge
    chmod 755 /run/munge
    chmod 400 /etc/munge/munge.key
    su -s /bin/sh munge -c munged || munged --force
    cp /run/munge/munged.pid "$STATE/munged.pid" # to be ended by `stop`, as one that was up already must not
}

start() {
    local nodes=$1 node
    [ "$(id -u)" = 0 ] || die "needs root"
    for program in munged slurmctld slurmd sinfo; do
        command -v "$program" >/dev/null || die "no $program here: apt-get install slurmctld slurmd slurm-client munge"
    done
    is_up 1 && { echo "is up already"; return; }
    trap stop EXIT # leave nothing half-started
    mkdir -p /etc/slurm "$STATE"/{ctld,d,log}
    [ "$nodes" = 1 ] || make_nodes "$nodes"
    write_conf "$nodes"
    start_munge
    slurmctld -c
    for node in $(node_names "$nodes"); do boot "$node"; done
    for _ in $(seq 60); do
        is_up "$nodes" && { trap - EXIT; sinfo; return; }
        scontrol update nodename=ALL state=resume >/dev/null 2>&1 || true
        sleep 0.5
    done
    tail -n 20 "$STATE"/log/*.log >&2
    die "did not come up in 30 seconds; its logs are above"
}

# Whether at least so many nodes are there for jobs.
is_up() { [ "$(sinfo -h -N -o %t 2>/dev/null | grep -Ec '^(idle|mix|alloc)')" -ge "$1" ]; }

stop() {
    scancel --user="$(id -un)" 2>/dev/null || true
    for pid in "$STATE"/slurmd-*.pid "$STATE"/slurmctld.pid "$STATE"/munged.pid; do
        [ -s "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true
    done
    for node in $(ls "$STATE/d" 2>/dev/null); do
        is_namespace "$node" || continue
        kill_node "$node"
        ip netns delete "$node" # and its end of the bridge
    done
    ip link delete "$BRIDGE" 2>/dev/null || true
    for _ in $(seq 100); do
        pgrep -x 'slurm.*' >/dev/null || break
        sleep 0.1
    done
    rm -rf "$STATE/ctld" "$STATE/d" "$STATE"/*.pid
}

case "${1:-} ${2:-}" in
    "start ") start 1 ;;
    "start --nodes") [[ "${3:-}" =~ ^[1-9][0-9]?$ ]] || die "--nodes takes a number from 1 to 99"; start "$3" ;;
    "stop ") stop ;;
    "status ") is_up 1 && sinfo || die "is not up" ;;
    "kill "?*) kill_node "$2" ;;
    "boot "?*) boot "$2" ;;
    *) die "give start, start --nodes N, stop, status, kill NODE or boot NODE" ;;
esac
