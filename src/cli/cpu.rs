//! The instruction sets that were compiled in, and refusing to start on a CPU that lacks one of them.
//!
//! The standard library's own detection answers "yes" without looking for every feature that was compiled in, so the
//! CPUID instruction is asked instead. RocksDB is compiled for the same CPU and has static constructors, which run before
//! `main`; so the check runs before them.

/// Ends the program with exit code 4 if this CPU cannot run it.
///
/// The attribute's `unsafe` acknowledges that the standard library promises little before `main`: only an unbuffered write
/// to standard error and the exit are used of it, and they need nothing that is set up later.
#[cfg(target_arch = "x86_64")]
#[ctor::ctor(unsafe, priority = early)]
fn refuse_a_cpu_that_lacks_what_was_compiled_in() {
    if let Some(feature) = x86_64::missing_feature() {
        super::messages::say(format_args!(
            "keymill: this program was built for a CPU with {feature}, which this one lacks; build it on this machine, or \
             for target-cpu=x86-64"
        ));
        std::process::exit(super::failure::MACHINE.into());
    }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use raw_cpuid::{CpuId, ExtendedFeatures, ExtendedProcessorFeatureIdentifiers, FeatureInfo};

    /// What the CPU says of itself, in the three parts in which it does.
    struct Cpu {
        basic: Option<FeatureInfo>,
        extended: Option<ExtendedFeatures>,
        more: Option<ExtendedProcessorFeatureIdentifiers>,
    }

    macro_rules! features {
        ($($part:ident $name:literal $has:ident;)*) => {
            /// The first feature that was compiled in and is missing; `None` if the code can run here.
            ///
            /// It is compiled for the newer CPU itself, and is therefore kept to calls and branches, in which the compiler
            /// finds nothing to vectorise.
            #[inline(never)]
            pub fn missing_feature() -> Option<&'static str> {
                let cpuid = CpuId::new();
                let cpu = Cpu {
                    basic: cpuid.get_feature_info(),
                    extended: cpuid.get_extended_feature_info(),
                    more: cpuid.get_extended_processor_and_feature_identifiers(),
                };
                $(if cfg!(target_feature = $name) && !cpu.$part.as_ref().is_some_and(|part| part.$has()) {
                    return Some($name);
                })*
                None
            }

            /// The features that were compiled in beyond those of every x86-64.
            pub fn compiled_features() -> Vec<&'static str> {
                let features = [$(cfg!(target_feature = $name).then_some($name)),*];
                features.into_iter().flatten().collect()
            }
        };
    }

    features! {
        basic "ssse3" has_ssse3;
        basic "sse4.1" has_sse41;
        basic "sse4.2" has_sse42;
        basic "avx" has_avx;
        basic "fma" has_fma;
        basic "popcnt" has_popcnt;
        basic "movbe" has_movbe;
        basic "aes" has_aesni;
        basic "pclmulqdq" has_pclmulqdq;
        basic "f16c" has_f16c;
        more "lzcnt" has_lzcnt;
        extended "bmi1" has_bmi1;
        extended "bmi2" has_bmi2;
        extended "avx2" has_avx2;
        extended "avx512f" has_avx512f;
        extended "avx512bw" has_avx512bw;
        extended "avx512cd" has_avx512cd;
        extended "avx512dq" has_avx512dq;
        extended "avx512vl" has_avx512vl;
        extended "avx512ifma" has_avx512_ifma;
        extended "avx512vbmi" has_avx512vbmi;
        extended "avx512vbmi2" has_avx512vbmi2;
        extended "avx512vnni" has_avx512vnni;
        extended "avx512bitalg" has_avx512bitalg;
        extended "avx512vpopcntdq" has_avx512vpopcntdq;
        extended "vpclmulqdq" has_vpclmulqdq;
        extended "sha" has_sha;
        extended "adx" has_adx;
        extended "gfni" has_gfni;
        extended "vaes" has_vaes;
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86_64::compiled_features;

/// Other CPUs are not told apart.
#[cfg(not(target_arch = "x86_64"))]
pub fn compiled_features() -> Vec<&'static str> {
    Vec::new()
}
