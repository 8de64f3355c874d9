#!/bin/sh
# One node's part of sweep.sbatch, started by srun with the job's token on standard input.
#
#   node.sh alone ARGS        sweep-engine ARGS, without Ray
#   node.sh head IP ARGS      Ray's head on this node, whose address is IP, and sweep-engine ARGS
#   node.sh worker IP         a node of Ray's, which joins the head at IP
set -eu
umask 077

# prepare: what Ray needs to know. Its folder must have the same path on all nodes, as it takes the
# head's, and a short one: paths of sockets end at 107 characters.
prepare() {
    # shellcheck disable=SC3067 # dash and bash know -O
    mkdir "$SWEEP_FILES" 2>/dev/null || [ -O "$SWEEP_FILES" ]
    [ "$role" = head ] || trap 'rm -rf "$SWEEP_FILES"' EXIT # sweep.sbatch removes the head's
    cat >"$SWEEP_FILES/token"
    unset RAY_ADDRESS RAY_AUTH_TOKEN
    export RAY_TMPDIR="$SWEEP_FILES" RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$SWEEP_FILES/token"
    export RAY_ENABLE_UV_RUN_RUNTIME_ENV=0 RAY_USAGE_STATS_ENABLED=0
    export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600 # seconds that a worker waits for its head
    export DASHBOARD_METRIC_PORT=$((SWEEP_PORTS + 7)) AUTOSCALER_METRIC_PORT=$((SWEEP_PORTS + 8))
}

# apart COMMAND: runs it with process ids of its own, where the system lets users have that. Ray
# looks at all processes of a node: it refuses to start beside another Ray, and ends them all when
# it ends.
apart() {
    set -- unshare --user --map-current-user --pid --fork --kill-child --mount-proc "$@"
    if ! unshare --user --map-current-user --pid --fork --mount-proc true 2>/dev/null; then
        echo "no process ids of our own on $(hostname): no other Ray may run here (--exclusive)" >&2
        shift 6
    fi
    trap : TERM # the child gets it too
    "$@"
}

# ray_node ARGS: this node as a part of the cluster, until the cluster ends.
ray_node() {
    ray symmetric-run --address "$ip:$SWEEP_PORTS" \
        --num-cpus="$SLURM_CPUS_ON_NODE" --object-store-memory=500000000 \
        --node-manager-port=$((SWEEP_PORTS + 1)) \
        --object-manager-port=$((SWEEP_PORTS + 2)) \
        --runtime-env-agent-port=$((SWEEP_PORTS + 3)) \
        --metrics-export-port=$((SWEEP_PORTS + 4)) \
        --dashboard-agent-grpc-port=$((SWEEP_PORTS + 5)) \
        --dashboard-agent-listen-port=$((SWEEP_PORTS + 6)) \
        --min-worker-port=0 --max-worker-port=0 \
        "$@" >"$SWEEP_FILES/ray.log" || {
        code=$?
        [ -e "$SWEEP_FILES/exit" ] || tail -n 50 "$SWEEP_FILES/ray.log" >&2
        return "$code"
    }
}

# sweep ARGS: sweep-engine, told to stop by the file $SWEEP_FILES/stop, as process ids say nothing
# here. Its exit code goes into a file, since `ray symmetric-run` and srun have codes of their own.
# Slurm's TERM reaches all processes of a step, sweep-engine too, and a second one would kill it.
sweep() {
    ended='' told=''
    trap 'ended=1' TERM
    sweep-engine "$@" >&2 </dev/null & # standard output is Ray's
    child=$!
    while kill -0 "$child" 2>/dev/null; do
        if [ -z "$told" ] && [ -e "$SWEEP_FILES/stop" ]; then
            told=1
            [ -n "$ended" ] || kill -TERM "$child"
        fi
        sleep 1
    done
    code=0
    wait "$child" || code=$?
    # Ray may have gone first and taken the sweep along.
    [ -z "$ended$told" ] || [ "$code" -eq 0 ] || code=3
    echo "$code" >"$SWEEP_FILES/exit"
    return "$code"
}

export PATH="$SWEEP_ENGINE_HOME/.venv/bin:$PATH"
role=$1
shift
case $role in
alone | by-ray)
    sweep "$@"
    ;;
head | worker)
    prepare
    apart "$0" "$role-apart" "$@"
    ;;
head-apart)
    ip=$1
    shift
    trap : TERM
    ray_node --include-dashboard=false --dashboard-host=127.0.0.1 \
        --dashboard-port=$((SWEEP_PORTS + 9)) --ray-client-server-port=$((SWEEP_PORTS + 10)) \
        -- "$0" by-ray "$@"
    ;;
worker-apart)
    ip=$1
    trap 'exit 0' TERM
    # A node that lost its Ray joins again; it ends with the job.
    while :; do
        ray_node -- true &
        wait $! || :
        sleep 5
    done
    ;;
esac
