# Sourced by the tools: finds or installs what the build needs, and says where its output goes.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

has_libclang() {
    local folder
    # The names without a version come with the headers, which are needed too.
    for folder in ${LIBCLANG_PATH:-} /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib /usr/lib64 /usr/local/lib; do
        [ -e "$folder/libclang.so" ] && return
    done
    return 1
}

# RocksDB is C++ and its bindings are made by libclang. The compute crate alone needs neither.
install_what_is_missing() {
    if ! command -v cargo >/dev/null; then
        say 'there is no Rust toolchain; install one from https://rustup.rs and try again'
        exit 4
    fi
    [ -z "${compute_alone:-}" ] || return 0
    local missing=()
    command -v c++ >/dev/null || missing+=(g++)
    has_libclang || missing+=(libclang-dev)
    [ ${#missing[@]} -eq 0 ] && return
    local install="apt-get install -y --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        say "installing ${missing[*]}"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive $install; } >&2 || exit 4
    else
        say "missing: ${missing[*]}. On Debian: sudo $install"
        exit 4
    fi
}

# The build is for the CPU of this machine, so another CPU gets a folder of its own. Outside the clone, so that RocksDB is
# built once for all clones.
choose_target_directory() {
    local cpu
    cpu=$(rustc --print cfg -C target-cpu=native | cksum | cut -d ' ' -f 1)
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/keymill/target-$cpu}
}

# Cargo tells by the times of files what has to be compiled, so of two clones with one target directory the older would be
# given what was compiled of the other, with that one's paths in its tests.
claim_target_directory() {
    local mark=$CARGO_TARGET_DIR/keymill-clone
    [ "$(cat "$mark" 2>/dev/null)" = "$root" ] && return
    mkdir -p "$CARGO_TARGET_DIR"
    find "$root"/{src,crates,migrations,tests,benches,examples} -name '*.rs' -exec touch {} +
    printf '%s\n' "$root" >"$mark"
}

# From here on, builds are for this CPU and no longer for the machine's. They have a folder of their own, and with it a
# RocksDB of their own, since that has instructions of the CPU in it as well.
choose_cpu() {
    export RUSTFLAGS="-C target-cpu=$1" CARGO_TARGET_DIR=$CARGO_TARGET_DIR/$1
    claim_target_directory
    # RocksDB takes it for granted wherever there is AVX, and no CPU of these levels is without it.
    case $1 in x86-64-v[34]) RUSTFLAGS+=' -C target-feature=+pclmulqdq' ;; esac
}

install_what_is_missing
choose_target_directory
claim_target_directory
