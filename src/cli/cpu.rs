//! Refusing to start on a CPU that lacks what was compiled in.
//!
//! The standard library's own detection answers "yes" without looking for every feature that was compiled in, so the
//! CPUID instruction is asked instead. RocksDB is compiled for the same CPU and has static constructors, which run before
//! `main`; so the check runs before them. It is compiled for the newer CPU itself, and is therefore kept to calls and
//! branches, in which the compiler finds nothing to vectorise.

/// Ends the program with exit code 4 if this CPU cannot run it.
///
/// The attribute's `unsafe` acknowledges that the standard library promises little before `main`: only an unbuffered write
/// to standard error and the exit are used of it, and they need nothing that is set up later.
#[cfg(target_arch = "x86_64")]
#[ctor::ctor(unsafe, priority = early)]
fn refuse_a_cpu_that_lacks_what_was_compiled_in() {
    if let Some(feature) = missing_feature() {
        super::messages::say(format_args!(
            "keymill: this program was built for a CPU with {feature}, which this one lacks; build it on this machine, or \
             for target-cpu=x86-64"
        ));
        std::process::exit(super::failure::MACHINE.into());
    }
}

/// The first feature that is missing; `None` if the program can run here.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn missing_feature() -> Option<&'static str> {
    use raw_cpuid::{ExtendedFeatures, ExtendedProcessorFeatureIdentifiers, FeatureInfo};

    let cpuid = raw_cpuid::CpuId::new();
    let basic = cpuid.get_feature_info();
    let extended = cpuid.get_extended_feature_info();
    let more = cpuid.get_extended_processor_and_feature_identifiers();
    macro_rules! require {
        ($info:ident, $name:literal, $has:path) => {
            if cfg!(target_feature = $name) && !$info.as_ref().is_some_and($has) {
                return Some($name);
            }
        };
    }
    require!(basic, "ssse3", FeatureInfo::has_ssse3);
    require!(basic, "sse4.1", FeatureInfo::has_sse41);
    require!(basic, "sse4.2", FeatureInfo::has_sse42);
    require!(basic, "avx", FeatureInfo::has_avx);
    require!(basic, "fma", FeatureInfo::has_fma);
    require!(basic, "popcnt", FeatureInfo::has_popcnt);
    require!(basic, "movbe", FeatureInfo::has_movbe);
    require!(basic, "aes", FeatureInfo::has_aesni);
    require!(basic, "pclmulqdq", FeatureInfo::has_pclmulqdq);
    require!(basic, "f16c", FeatureInfo::has_f16c);
    require!(more, "lzcnt", ExtendedProcessorFeatureIdentifiers::has_lzcnt);
    require!(extended, "bmi1", ExtendedFeatures::has_bmi1);
    require!(extended, "bmi2", ExtendedFeatures::has_bmi2);
    require!(extended, "avx2", ExtendedFeatures::has_avx2);
    require!(extended, "avx512f", ExtendedFeatures::has_avx512f);
    require!(extended, "avx512bw", ExtendedFeatures::has_avx512bw);
    require!(extended, "avx512cd", ExtendedFeatures::has_avx512cd);
    require!(extended, "avx512dq", ExtendedFeatures::has_avx512dq);
    require!(extended, "avx512vl", ExtendedFeatures::has_avx512vl);
    require!(extended, "avx512ifma", ExtendedFeatures::has_avx512_ifma);
    require!(extended, "avx512vbmi", ExtendedFeatures::has_avx512vbmi);
    require!(extended, "avx512vbmi2", ExtendedFeatures::has_avx512vbmi2);
    require!(extended, "avx512vnni", ExtendedFeatures::has_avx512vnni);
    require!(extended, "avx512bitalg", ExtendedFeatures::has_avx512bitalg);
    require!(extended, "avx512vpopcntdq", ExtendedFeatures::has_avx512vpopcntdq);
    require!(extended, "vpclmulqdq", ExtendedFeatures::has_vpclmulqdq);
    require!(extended, "sha", ExtendedFeatures::has_sha);
    require!(extended, "adx", ExtendedFeatures::has_adx);
    require!(extended, "gfni", ExtendedFeatures::has_gfni);
    require!(extended, "vaes", ExtendedFeatures::has_vaes);
    None
}
