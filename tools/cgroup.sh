# Sourced by the tools that bound memory: a cgroup of their own.

cgroup=

# Makes a cgroup, of version 2 or 1, that bounds memory to so many MiB. Leaves its directory in `cgroup`, and in `peak` the
# name of the file with the most that was used. Names what is missing.
make_cgroup() {
    local mount bytes=$(($1 << 20))
    mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    if [ -n "$mount" ] && grep -qw memory "$mount/cgroup.subtree_control" 2>/dev/null; then
        cgroup=$mount/keymill-memory-$$ peak=memory.peak
        mkdir "$cgroup" && echo "$bytes" > "$cgroup/memory.max"
    elif mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts) && [ -n "$mount" ]; then
        cgroup=$mount/keymill-memory-$$ peak=memory.max_usage_in_bytes
        mkdir "$cgroup" && echo "$bytes" > "$cgroup/memory.limit_in_bytes"
    else
        say 'there is no cgroup file system with the memory controller'
        false
    fi
}

# Removes it. Not before the last process in it is gone, which is a moment after it was waited for.
remove_cgroup() {
    [ -z "$cgroup" ] || rmdir "$cgroup" 2>/dev/null || { sleep 1; rmdir "$cgroup"; }
}
