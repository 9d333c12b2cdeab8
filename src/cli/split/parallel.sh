#!/bin/bash
# Makes the @PARTS@ parts of the key @KEY_ID@ on machines that ssh reaches, by GNU parallel, and then joins them.
#
#   bash FILE              begins, or goes on: what has failed is tried again, and a part that is there is not made again
#
# $hosts has a machine a line, as parallel's --sshloginfile takes it: `2/user@host` runs two parts at once there. ssh must not
# ask for anything. All machines have to see the ticket, the secret and the directory of the parts, by the same paths. Machines
# that share no directory: see docs/CLUSTER.md. What is yours to change stands below.
set -euo pipefail

key=@KEY@
ticket=@TICKET@
# The path of the secret is all that is in a command. Each machine that makes a part reads the whole secret.
secret=@SECRET@
# The path of the file with the passphrase, if the secret is sealed.
passphrase=
out=$key.parts
hosts=$key.hosts
log=$key.joblog
keymill=keymill
threads=4
# What becomes of the files of the parts: they are copied, or with --adopt moved into the key, which needs no further room. For that
# they have to be on the file system of the key.
part_files=
# On each machine alone, and fast: never on a shared file system.
scratch=/tmp/keymill-$(id -u)-@KEY_ID@
# What runs the command on each machine. Without it, parallel takes $SHELL there, which may be anything: it was quoted for bash.
export PARALLEL_SHELL=/bin/bash
# How often all parts that failed are tried, before somebody has to look.
tries=3

command -v parallel >/dev/null || { echo 'missing: GNU parallel' >&2; exit 4; }
[ -s "$hosts" ] || { echo "$hosts should have a machine a line; \`:\` is this one" >&2; exit 3; }
mkdir -p "$out"
# What an earlier run says of a part need not hold any more: it may have been deleted since. One that is there takes no time.
rm -f "$log"

words=("$keymill" part "$ticket" --secret-file "$secret" --out "$out" --threads "$threads")
[ -z "$passphrase" ] || words+=(--passphrase-file "$passphrase")
printf -v part '%q ' "${words[@]}"
printf -v work '%q' "$scratch"
# {} is the number of the part. Its scratch goes when the part is there.
command="umask 077; mkdir -p $work-{} && [ -O $work-{} ] && $part --index {} --work $work-{} && rm -rf $work-{}"

# Whether a part ended, in its last try, in a way that is worth another one: a failure of its machine (4), a signal (130), a kill
# (137), no connection (255), or a signal to the command here.
is_worth_a_try() {
    awk 'NR > 1 { code[$1] = $7; signal[$1] = $8 }
        END { for (n in code) if (signal[n] || code[n] ~ /^(4|130|137|255)$/) exit 0; exit 1 }' "$log"
}

# Whether parts are in the key already: then those that are not there would be made for nothing, and the join says what is missing.
adopts() { compgen -G "$key/layers/parts-t*/*.part" > /dev/null; }

for ((try = 1; ; try++)); do
    ! adopts || break
    code=0
    seq 0 @LAST@ | parallel --sshloginfile "$hosts" --joblog "$log" --resume-failed --line-buffer --tag "$command" || code=$?
    [ "$code" -ne 0 ] || break
    if [ "$try" -ge "$tries" ] || ! is_worth_a_try; then
        echo "parts have failed: $log has a line of each. Run this again to try them again." >&2
        exit 1
    fi
done
words=("$keymill" join "$key" "$out" --threads "$threads" ${part_files:+"$part_files"})
[ -z "$passphrase" ] || words+=(--passphrase-file "$passphrase")
"${words[@]}"
