//! Refusing to start on a CPU that lacks what was compiled in.
//!
//! RocksDB is compiled for the same CPU and has static constructors, which run before `main`; so the check runs before
//! them.

/// Ends the program with exit code 4 if this CPU cannot run it.
///
/// The attribute's `unsafe` acknowledges that the standard library promises little before `main`: only an unbuffered write
/// to standard error and the exit are used of it, and they need nothing that is set up later.
#[cfg(target_arch = "x86_64")]
#[ctor::ctor(unsafe, priority = early)]
fn refuse_a_cpu_that_lacks_what_was_compiled_in() {
    if let Some(feature) = keymill::cpu::missing_feature() {
        super::messages::say(format_args!(
            "keymill: this program was built for a CPU with {feature}, which this one lacks; build it on this machine, or \
             for target-cpu=x86-64"
        ));
        std::process::exit(super::failure::MACHINE.into());
    }
}
