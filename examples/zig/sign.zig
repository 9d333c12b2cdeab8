//! Signs a message with a key, and verifies the signature. It prints the public key and the signature, in hex.
//!
//!     sign PLACE EPOCH MESSAGE
//!
//! PLACE is a key directory, or the address of a key in a service, as in "unix:/run/keymill.sock?key=0x...". MESSAGE is 64 hex
//! digits.
//!
//!     zig translate-c -lc $(pkg-config --variable=includedir keymill)/keymill.h > keymill.zig
//!     zig build-exe sign.zig -lc $(pkg-config --libs keymill)

const std = @import("std");
const keymill = @import("keymill.zig");

extern "c" fn printf(format: [*:0]const u8, ...) c_int;
extern "c" fn dprintf(descriptor: c_int, format: [*:0]const u8, ...) c_int;

const Failed = error{Failed};

/// Every call of the library ends with a status; the text of the last one is there until the thread's next call.
fn done(status: keymill.keymill_status, what: [*:0]const u8) Failed!void {
    if (status != keymill.KEYMILL_STATUS_DONE) {
        _ = dprintf(2, "%s: %s\n", what, keymill.keymill_last_error());
        return error.Failed;
    }
}

fn printHex(bytes: []const u8, end: u8) void {
    for (bytes) |byte| _ = printf("%02x", @as(c_uint, byte));
    _ = printf("%c", @as(c_int, end));
}

fn sign(place: [*:0]const u8, epoch: u64, message: *const [32]u8) !void {
    const allocator = std.heap.c_allocator;
    var key: keymill.keymill_key = undefined;
    try done(keymill.keymill_open_to_sign(place, &key), "opening");
    defer _ = keymill.keymill_close(key);

    var facts: keymill.keymill_key_facts = undefined;
    try done(keymill.keymill_describe_key(key, &facts), "the sizes");
    const public_key = try allocator.alloc(u8, facts.scheme.public_key_bytes);
    defer allocator.free(public_key);
    const signature = try allocator.alloc(u8, facts.scheme.signature_bytes);
    defer allocator.free(signature);

    try done(keymill.keymill_public_key(key, public_key.ptr, public_key.len), "the public key");
    // When this returns, the epoch is spent on disk, here or where the service is.
    try done(keymill.keymill_sign(key, epoch, message, message.len, signature.ptr, signature.len), "signing");
    try done(keymill.keymill_verify(
        &facts.scheme.id,
        public_key.ptr,
        public_key.len,
        epoch,
        message,
        message.len,
        signature.ptr,
        signature.len,
    ), "verifying");
    printHex(public_key, ' ');
    printHex(signature, '\n');
}

fn run(words: []const [*:0]u8) !void {
    if (words.len != 4) return error.SignPlaceEpochMessage;
    const epoch = try std.fmt.parseInt(u64, std.mem.span(words[2]), 10);
    var message: [32]u8 = undefined;
    if (std.mem.span(words[3]).len != 64) return error.MessageIsNot64HexDigits;
    _ = try std.fmt.hexToBytes(&message, std.mem.span(words[3]));
    try sign(words[1], epoch, &message);
}

pub export fn main(count: c_int, words: [*]const [*:0]u8) c_int {
    run(words[0..@intCast(count)]) catch |why| {
        if (why != error.Failed) _ = dprintf(2, "%s\n", @errorName(why).ptr);
        return 1;
    };
    return 0;
}
