#!/bin/bash
# Makes the @PARTS@ parts of the key @KEY_ID@ on a Slurm cluster, and then joins them.
#
#   bash FILE              on a login node: submits the parts as an array of tasks, and the join that waits for them
#
# Every node has to see the ticket, the secret and the directory of the parts, and the node of the join the key as well. Run it
# again whenever you like: a part that is there is not made again. What is yours to change stands below.
set -euo pipefail

key=@KEY@
ticket=@TICKET@
# The path of the secret is all that Slurm gets to know of it. Each node that makes a part reads the whole secret.
secret=@SECRET@
# The path of the file with the passphrase, if the secret is sealed.
passphrase=
parts=@PARTS@
out=$key.parts
logs=$key.logs
keymill=keymill
# What becomes of the files of the parts: they are copied, or with --adopt moved into the key, which needs no further room. For that
# they have to be on the file system of the key.
part_files=

cpus=4
memory=512M
# Of a part. A task that is stopped before its end goes on where it was if it comes to the same node again.
time_limit=12:00:00
# How many tasks may run at once; empty: as many as Slurm has room for.
at_once=
# How often one task is begun again after a kill (137), a signal (130) or a failure of its machine (4).
restarts_max=20
# For each node alone, and fast: never on a shared file system.
scratch_root=${TMPDIR:-/tmp}
# Of the cluster, such as (--partition=long --account=project).
options=()

# Runs the program so that a signal reaches it, which lets it keep all that is complete. Leaves its exit code in `code`.
run() {
    "$keymill" "$@" ${passphrase:+--passphrase-file "$passphrase"} --threads "$SLURM_CPUS_PER_TASK" &
    local child=$!
    trap 'kill -TERM "$child" 2>/dev/null || true' TERM INT
    # A signal ends a wait, and not the program.
    while :; do
        code=0
        wait "$child" || code=$?
        kill -0 "$child" 2>/dev/null || break
    done
    trap - TERM INT
}

can_go_on() { case $code in 4 | 130 | 137 | 143) ;; *) return 1 ;; esac; }

# Whether the task has to go to the queue again. Of one that was cancelled, or that Slurm queues again itself, Slurm does not say that
# it is running.
is_worth_a_requeue() {
    can_go_on || return 1
    if [ "${SLURM_RESTART_COUNT:-0}" -ge "$restarts_max" ]; then
        echo "exit code $code, and $restarts_max restarts behind it: it is not begun again" >&2
        return 1
    fi
    [ "$(squeue --noheader --format=%T --jobs="$SLURM_JOB_ID" 2>/dev/null)" = RUNNING ]
}

end() {
    if is_worth_a_requeue; then
        echo "exit code $code: it is queued again" >&2
        scontrol requeue "$SLURM_JOB_ID" && exit "$code"
    fi
    # What the next try can go on from stays, also for whoever submits a cancelled task again.
    [ -z "${scratch:-}" ] || can_go_on || rm -rf "$scratch"
    exit "$code"
}

make_part() {
    local index=$(($1 + SLURM_ARRAY_TASK_ID))
    scratch=$scratch_root/keymill-$(id -u)-@KEY_ID@-$index
    mkdir -p -m 0700 "$scratch"
    [ -O "$scratch" ] || { echo "$scratch belongs to someone else" >&2; exit 3; }
    echo "part $index on $(hostname), restarts ${SLURM_RESTART_COUNT:-0}" >&2
    run part "$ticket" --index "$index" --secret-file "$secret" --work "$scratch" --out "$out"
    end
}

join_parts() {
    run join "$key" "$out" ${part_files:+"$part_files"}
    end
}

# How many tasks an array can have. A cluster may have other limits besides; then --array below is the place.
array_size() {
    local said
    said=$(scontrol show config | sed -n 's/^MaxArraySize *= *//p')
    [[ $said =~ ^[1-9][0-9]*$ ]] || said=1001
    echo "$said"
}

# Whether parts are in the key already: then those that are not there would be made for nothing, and the join says what is missing.
adopts() { compgen -G "$key/layers/parts-t*/*.part" > /dev/null; }

submit() {
    [ -f "$0" ] || { echo 'save this text in a file, and run that' >&2; exit 2; }
    command -v "$keymill" >/dev/null || { echo "there is no $keymill here; the nodes need it too" >&2; exit 2; }
    [ -r "$secret" ] || { echo "$secret cannot be read" >&2; exit 3; }
    mkdir -p "$out" "$logs"
    local size first count id dependency=afterok
    size=$(array_size)
    # A signal comes two minutes before the limit of time, so that the task ends in order and is queued again.
    local common=(--parsable --requeue --open-mode=append --cpus-per-task="$cpus" --mem="$memory"
        --time="$time_limit" --signal=B:TERM@120 "${options[@]}")
    for ((first = 0; first < parts; first += size)); do
        ! adopts || break
        count=$((parts - first < size ? parts - first : size))
        id=$(sbatch "${common[@]}" --job-name="keymill-part" --array="0-$((count - 1))${at_once:+%$at_once}" \
            --output="$logs/%A_%a.log" "$0" part "$first")
        echo "parts $first to $((first + count - 1)): job ${id%%;*}"
        dependency+=:${id%%;*}
    done
    [ "$dependency" = afterok ] || common+=(--dependency="$dependency" --kill-on-invalid-dep=yes)
    id=$(sbatch "${common[@]}" --job-name="keymill-join" \
        --output="$logs/join-%j.log" "$0" join)
    echo "join: job ${id%%;*}; what it says is in $logs/join-${id%%;*}.log"
}

case ${1:-} in
    '') submit ;;
    part) make_part "$2" ;;
    join) join_parts ;;
    *) echo "usage: bash $0" >&2; exit 2 ;;
esac
