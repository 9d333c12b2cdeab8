# Sourced by `tools/capi --test`: builds the programs beside this file and runs them.

place_of_all=$(mktemp -d)
service=
trap '[ -z "$service" ] || kill "$service"; rm -rf "$place_of_all"' EXIT
for variable in $(compgen -e | grep '^KEYMILL_' || true); do unset "$variable"; done

cargo build --release --locked --bin keymill >&2
keymill=$CARGO_TARGET_DIR/release/keymill
cp "$keymill" "$place_of_all/keymill"
keymill=$place_of_all/keymill

# A recorded key of 256 epochs, and its first signature.
recorded=$(grep -m1 '"activation_epoch": 0, .*"scheme": "leansig-p1-l8-abort-v4-w8"' tests/vectors/keys.jsonl)
field() { sed "s/.*\"$1\": \"\\?\\([0-9a-z-]*\\).*/\\1/" <<<"${2:-$recorded}"; }
signature_fields=$(sed 's/.*"signatures": \[{\([^}]*\)}.*/\1/' <<<"$recorded")
scheme=$(field scheme) public_key=$(field public_key_ssz)
epoch=$(field epoch "$signature_fields") message=$(field message "$signature_fields")
signature=$(field signature_ssz "$signature_fields")

# Serves the key directory, to whoever shows the token.
start_service() {
    "$keymill" serve "$place_of_all/key" --listen "unix:$place_of_all/socket" --token-file "$place_of_all/token" \
        > "$place_of_all/listening" 2> "$place_of_all/log" &
    service=$!
    until grep -q '^listening' "$place_of_all/listening"; do
        kill -0 "$service" 2> /dev/null || { cat "$place_of_all/log" >&2; return 1; }
        sleep 0.05
    done
}
end_service() {
    kill "$service"
    wait "$service"
    service=
}

# A key directory that may sign and has not yet.
new_key() {
    rm -rf "$place_of_all/key"
    cp -r "$place_of_all/made" "$place_of_all/key"
}
(
    umask 077
    field rng_seed > "$place_of_all/seed"
    echo 'a token for tests alone' | tr ' ' - > "$place_of_all/token"
)
"$keymill" keygen "$place_of_all/made" --scheme "$scheme" --epochs 256 --seed-file "$place_of_all/seed" --progress none \
    > "$place_of_all/public-key"
[ "$(cat "$place_of_all/public-key")" = "$public_key" ]
"$keymill" ledger init "$place_of_all/made" --first-epoch 0 > /dev/null
# Another one, of fresh randomness.
"$keymill" keygen "$place_of_all/other" --scheme "$scheme" --epochs 256 --progress none > /dev/null

# A command that has to end with an exit code other than 0.
refused() {
    if "$@"; then
        say "this was not refused: $*"
        return 1
    fi
}

query="?key=0x$public_key&token-file=$place_of_all/token"
address="unix:$place_of_all/socket$query"

# Runs all programs, each behind the words given: life, threads, places, leak, service.
run_programs() {
    local programs=$1
    shift
    new_key
    "$@" "$programs/life" "$place_of_all/key" "$scheme" "$public_key" "$epoch" "$message" "$signature"
    # What a program in C has signed, the command line knows: the same again, and nothing else.
    [ "$("$keymill" sign "$place_of_all/key" --epoch "$epoch" --message "$message")" = "$signature" ]
    refused "$keymill" sign "$place_of_all/key" --epoch "$epoch" --message "${message//9/0}" 2> /dev/null
    "$@" "$programs/threads" "$place_of_all/key"
    "$keymill" ledger show "$place_of_all/key" > /dev/null
    mkdir -p "$place_of_all/beside"
    rm -rf "$place_of_all/beside/key"
    cp -r "$place_of_all/other" "$place_of_all/beside/key"
    "$@" "$programs/places" "$place_of_all" "$place_of_all/beside" "$public_key"
    diff -r "$place_of_all/other" "$place_of_all/beside/key"
    rm -f "$place_of_all/trace"
    "$@" "$programs/leak" "$place_of_all/key" "$place_of_all/trace"
    # Two were opened and one was closed: the other one is named, with the place at which it came to be.
    local told
    told=$("$keymill" memory-report "$place_of_all/trace") && return 1
    grep -q '^left: 1 handle of src/capi/exports.rs:[0-9]*' <<<"$told" || {
        printf '%s\n' "$told" >&2
        return 1
    }
    new_key
    start_service
    "$@" "$programs/service" "$place_of_all" "$query" "$scheme" "$public_key" "$epoch" "$message" "$signature"
    end_service
    [ "$("$keymill" sign "$place_of_all/key" --epoch "$epoch" --message "$message")" = "$signature" ]
}

# What an example has to do, whose command is given: sign with a key in a directory and with one in a service, and tell in the
# library's words what was refused.
holds_as_example() {
    new_key
    for place in "$place_of_all/key" "$address"; do
        [ "$place" != "$address" ] || start_service
        [ "$("$@" "$place" "$epoch" "$message")" = "$public_key $signature" ]
        refused "$@" "$place" "$epoch" "${message//9/0}" 2> "$place_of_all/said"
        grep -q "signed another message" "$place_of_all/said"
    done
    end_service
    refused "$@" "$address" "$epoch" "$message" 2> "$place_of_all/said"
    grep -q 'no service listens at' "$place_of_all/said"
}

warnings=(-Wall -Wextra -Wpedantic -Werror -O1 -g "-DVERSION=\"$version\"")

# Compiles all programs, in C or C++, against the libraries in $1, into $2; the rest says how.
compile() {
    local installed=$1 programs=$2
    shift 2
    mkdir -p "$programs"
    for program in life threads places leak service; do
        # shellcheck disable=SC2046
        "$@" "${warnings[@]}" -x "$language" "tests/capi/$program.c" -x none -o "$programs/$program" $(flags "$installed") \
            -pthread
    done
}

pkg() { PKG_CONFIG_PATH=$1/lib/pkgconfig pkg-config "${@:2}" keymill; }
shared_flags() { pkg "$1" --cflags --libs; }
# What pkg-config says for static linking would take the shared library, which lies beside it.
static_flags() { pkg "$1" --static --cflags --libs | sed "s|-lkeymill|$1/lib/libkeymill.a|"; }

step() { say "$*"; }

build
installed=$place_of_all/installed
install_libraries '' "$installed"

step 'in C, with the shared library'
language=c
flags() { shared_flags "$1"; }
compile "$installed" "$place_of_all/c-shared" cc -std=c11 -D_POSIX_C_SOURCE=200809L
readelf -d "$place_of_all/c-shared/life" | grep "NEEDED.*\[libkeymill.so.$major\]" > /dev/null
readelf -V "$place_of_all/c-shared/life" | grep "Name: $symbol_version" > /dev/null
run_programs "$place_of_all/c-shared" env LD_LIBRARY_PATH="$installed/lib"

step 'in C, with the static library'
flags() { static_flags "$1"; }
compile "$installed" "$place_of_all/c-static" cc -std=c11 -D_POSIX_C_SOURCE=200809L
refused sh -c "readelf -d '$place_of_all/c-static/life' | grep libkeymill"
run_programs "$place_of_all/c-static"

step 'in C++, with the shared library'
language=c++
flags() { shared_flags "$1"; }
compile "$installed" "$place_of_all/c++-shared" c++ -std=c++17
run_programs "$place_of_all/c++-shared" env LD_LIBRARY_PATH="$installed/lib"

with_library() { env LD_LIBRARY_PATH="$installed/lib" "$@"; }
example() { holds_as_example with_library "$@"; }

step 'the example in C'
# shellcheck disable=SC2046
cc -std=c11 "${warnings[@]}" examples/c/sign.c -o "$place_of_all/c-example" $(shared_flags "$installed")
example "$place_of_all/c-example"

if command -v zig > /dev/null; then
    zig() { command zig "$@"; }
elif python3 -c 'import ziglang' 2> /dev/null; then
    zig() { python3 -m ziglang "$@"; }
fi
if [ "$(type -t zig)" = function ]; then
    step 'the example in Zig'
    export ZIG_LOCAL_CACHE_DIR=$place_of_all/zig-cache ZIG_GLOBAL_CACHE_DIR=$place_of_all/zig-cache
    mkdir "$place_of_all/zig"
    cp examples/zig/sign.zig "$place_of_all/zig"
    zig translate-c -lc "$installed/include/keymill.h" > "$place_of_all/zig/keymill.zig"
    # shellcheck disable=SC2046
    (cd "$place_of_all/zig" && zig build-exe sign.zig -lc $(shared_flags "$installed"))
    example "$place_of_all/zig/sign"
else
    say 'not tested: the example in Zig, which is missing here'
fi

if command -v go > /dev/null; then
    step 'the example in Go'
    PKG_CONFIG_PATH=$installed/lib/pkgconfig GOCACHE=$place_of_all/go-cache GOPATH=$place_of_all/go CGO_ENABLED=1 \
        go build -o "$place_of_all/go-example" examples/go/sign.go
    example "$place_of_all/go-example"
else
    say 'not tested: the example in Go, which is missing here'
fi

if command -v python3 > /dev/null; then
    step 'from Python, as docs/C.md has it'
    sed -n '/^```python$/,/^```$/{/^```/!p}' docs/C.md > "$place_of_all/program.py"
    example python3 "$place_of_all/program.py"
    new_key
    refused with_library python3 "$place_of_all/program.py" "$place_of_all/key" 256 "$message" 2> "$place_of_all/said"
    grep -q "^RuntimeError: .*256" "$place_of_all/said"
    # Where RocksDB would abort the process of whoever calls.
    if command -v prlimit > /dev/null; then
        refused with_library prlimit --as=$((256 << 20)) \
            python3 "$place_of_all/program.py" "$place_of_all/key" "$epoch" "$message" 2> "$place_of_all/said"
        grep -q '^RuntimeError: .*RLIMIT_AS' "$place_of_all/said"
    fi
else
    say 'not tested: from Python, which is missing here'
fi

[ -n "$with_valgrind" ] || return 0
if [ "$(uname -m)" != x86_64 ] || ! command -v valgrind > /dev/null; then
    say 'not tested: under valgrind, which is missing here, or is tried on x86-64 only'
    return 0
fi
step 'under valgrind'
# It knows no AVX-512, so the library is another one; RocksDB is compiled once more, the first time.
CARGO_TARGET_DIR=$native_target
choose_cpu x86-64-v3
build
installed=$place_of_all/installed-for-valgrind
install_libraries '' "$installed"
language=c
flags() { shared_flags "$1"; }
compile "$installed" "$place_of_all/valgrind" cc -std=c11 -D_POSIX_C_SOURCE=200809L
run_programs "$place_of_all/valgrind" env LD_LIBRARY_PATH="$installed/lib" \
    valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
say 'all passed'
