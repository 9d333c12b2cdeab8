//! Refusing to start on a CPU that lacks what was compiled in.
//!
//! The standard library's own detection answers "yes" without looking for every feature that was compiled in, so the
//! CPUID instruction is asked instead.

/// What is missing, in words; `None` if the program can run here.
#[cfg(target_arch = "x86_64")]
pub fn missing_features() -> Option<String> {
    let cpuid = raw_cpuid::CpuId::new();
    let basic = cpuid.get_feature_info();
    let extended = cpuid.get_extended_feature_info();
    let has = |found: Option<bool>| found.unwrap_or(false);
    let basic = |f: fn(&raw_cpuid::FeatureInfo) -> bool| has(basic.as_ref().map(f));
    let extended = |f: fn(&raw_cpuid::ExtendedFeatures) -> bool| has(extended.as_ref().map(f));
    let needed = [
        ("ssse3", cfg!(target_feature = "ssse3"), basic(|i| i.has_ssse3())),
        ("sse4.1", cfg!(target_feature = "sse4.1"), basic(|i| i.has_sse41())),
        ("sse4.2", cfg!(target_feature = "sse4.2"), basic(|i| i.has_sse42())),
        ("avx", cfg!(target_feature = "avx"), basic(|i| i.has_avx())),
        ("fma", cfg!(target_feature = "fma"), basic(|i| i.has_fma())),
        ("bmi1", cfg!(target_feature = "bmi1"), extended(|i| i.has_bmi1())),
        ("bmi2", cfg!(target_feature = "bmi2"), extended(|i| i.has_bmi2())),
        ("avx2", cfg!(target_feature = "avx2"), extended(|i| i.has_avx2())),
        (
            "avx512f",
            cfg!(target_feature = "avx512f"),
            extended(|i| i.has_avx512f()),
        ),
        (
            "avx512bw",
            cfg!(target_feature = "avx512bw"),
            extended(|i| i.has_avx512bw()),
        ),
        (
            "avx512cd",
            cfg!(target_feature = "avx512cd"),
            extended(|i| i.has_avx512cd()),
        ),
        (
            "avx512dq",
            cfg!(target_feature = "avx512dq"),
            extended(|i| i.has_avx512dq()),
        ),
        (
            "avx512vl",
            cfg!(target_feature = "avx512vl"),
            extended(|i| i.has_avx512vl()),
        ),
        (
            "avx512ifma",
            cfg!(target_feature = "avx512ifma"),
            extended(|i| i.has_avx512_ifma()),
        ),
        (
            "avx512vbmi",
            cfg!(target_feature = "avx512vbmi"),
            extended(|i| i.has_avx512vbmi()),
        ),
        (
            "avx512vbmi2",
            cfg!(target_feature = "avx512vbmi2"),
            extended(|i| i.has_avx512vbmi2()),
        ),
        ("gfni", cfg!(target_feature = "gfni"), extended(|i| i.has_gfni())),
        ("vaes", cfg!(target_feature = "vaes"), extended(|i| i.has_vaes())),
    ];
    describe(&needed)
}

/// Other processors have no such choice of features that matters here.
#[cfg(not(target_arch = "x86_64"))]
pub fn missing_features() -> Option<String> {
    None
}

#[cfg(target_arch = "x86_64")]
fn describe(needed: &[(&str, bool, bool)]) -> Option<String> {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(_, compiled_in, present)| *compiled_in && !present)
        .map(|(name, _, _)| *name)
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "this program was built for a CPU with {}, which this one lacks; build it on this machine, or for \
             target-cpu=x86-64",
            missing.join(", ")
        )
    })
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_without_a_compiled_in_feature_is_refused_by_its_name() {
        let message = describe(&[("avx2", true, true), ("avx512f", true, false)]).unwrap();
        assert!(message.contains("a CPU with avx512f, which"), "{message}");
        assert_eq!(describe(&[("avx512f", false, false)]), None);
    }
}
