#!/usr/bin/env bash
# A Slurm of one node on this machine, for development and for the tests marked `slurm`:
#
#   scripts/local_slurm.sh start|stop|status
#
# Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge (`start` says so where they are missing). Processes are
# tracked without cgroups, so it also runs in containers. All its files are under /tmp/local-slurm; nothing outlives `stop` but logs.
set -euo pipefail

STATE=${LOCAL_SLURM_DIR:-/tmp/local-slurm}
export SLURM_CONF=/etc/slurm/slurm.conf

die() { echo "local_slurm: $*" >&2; exit 1; }

write_conf() {
    local host cpus memory
    host=$(hostname -s)
    cpus=$(nproc)
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    mkdir -p /etc/slurm "$STATE"/{ctld,d,log}
    cat >"$SLURM_CONF" <<CONF
ClusterName=local
SlurmctldHost=$host
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$STATE/ctld
SlurmdSpoolDir=$STATE/d
SlurmctldLogFile=$STATE/log/slurmctld.log
SlurmdLogFile=$STATE/log/slurmd.log
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,batch_sched_delay=0
# Soon enough for tests: how long a job may go on after its limit or a kill, and when a requeued one may start again.
KillWait=5
MinJobAge=60
ReturnToService=2
JobRequeue=1
NodeName=$host CPUs=$cpus Boards=1 SocketsPerBoard=1 CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE OverTimeLimit=0 State=UP
CONF
    # Without cgroups: see the header.
    printf 'CgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n' >/etc/slurm/cgroup.conf
}

start() {
    [ "$(id -u)" = 0 ] || die "needs root"
    for program in munged slurmctld slurmd sinfo; do
        command -v "$program" >/dev/null || die "no $program here: apt-get install slurmctld slurmd slurm-client munge"
    done
    is_up && { echo "is up already"; return; }
    write_conf
    mkdir -p /run/munge /var/log/munge /var/lib/munge /etc/munge
    [ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
    chown -R munge: /run/munge /var/log/munge /var/lib/munge /etc/munge
    chmod 700 /etc/munge /var/log/munge /var/lib/munge
    chmod 755 /run/munge
    chmod 400 /etc/munge/munge.key
    pgrep -x munged >/dev/null || su -s /bin/sh munge -c munged || munged --force
    slurmctld -c
    slurmd -c
    for _ in $(seq 60); do
        is_up && { sinfo; return; }
        scontrol update nodename="$(hostname -s)" state=resume >/dev/null 2>&1 || true
        sleep 0.5
    done
    tail -n 20 "$STATE"/log/*.log >&2
    die "did not come up in 30 seconds; its logs are above"
}

is_up() { sinfo -h -o %t 2>/dev/null | grep -Eq '^(idle|mix|alloc)'; }

stop() {
    scancel --user="$(id -un)" 2>/dev/null || true
    for pid in "$STATE"/slurmd.pid "$STATE"/slurmctld.pid; do
        [ -s "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true
    done
    pkill -x slurmd || true
    pkill -x slurmctld || true
    pkill -x munged || true
    rm -rf "$STATE/ctld" "$STATE/d"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    status) is_up && sinfo || die "is not up" ;;
    *) die "give start, stop or status" ;;
esac
