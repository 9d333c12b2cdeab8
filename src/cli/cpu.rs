//! Refusing to start on a CPU that lacks what was compiled in.
//!
//! The standard library's own detection answers "yes" without looking for every feature that was compiled in, so the
//! CPUID instruction is asked instead.

/// What is missing, in words; `None` if the program can run here.
#[cfg(target_arch = "x86_64")]
pub fn missing_features() -> Option<String> {
    use raw_cpuid::{ExtendedFeatures, FeatureInfo};

    macro_rules! feature {
        ($info:ident, $name:literal, $has:path) => {
            (
                $name,
                cfg!(target_feature = $name),
                $info.as_ref().is_some_and($has),
            )
        };
    }
    let cpuid = raw_cpuid::CpuId::new();
    let basic = cpuid.get_feature_info();
    let extended = cpuid.get_extended_feature_info();
    describe(&[
        feature!(basic, "ssse3", FeatureInfo::has_ssse3),
        feature!(basic, "sse4.1", FeatureInfo::has_sse41),
        feature!(basic, "sse4.2", FeatureInfo::has_sse42),
        feature!(basic, "avx", FeatureInfo::has_avx),
        feature!(basic, "fma", FeatureInfo::has_fma),
        feature!(extended, "bmi1", ExtendedFeatures::has_bmi1),
        feature!(extended, "bmi2", ExtendedFeatures::has_bmi2),
        feature!(extended, "avx2", ExtendedFeatures::has_avx2),
        feature!(extended, "avx512f", ExtendedFeatures::has_avx512f),
        feature!(extended, "avx512bw", ExtendedFeatures::has_avx512bw),
        feature!(extended, "avx512cd", ExtendedFeatures::has_avx512cd),
        feature!(extended, "avx512dq", ExtendedFeatures::has_avx512dq),
        feature!(extended, "avx512vl", ExtendedFeatures::has_avx512vl),
        feature!(extended, "avx512ifma", ExtendedFeatures::has_avx512_ifma),
        feature!(extended, "avx512vbmi", ExtendedFeatures::has_avx512vbmi),
        feature!(extended, "avx512vbmi2", ExtendedFeatures::has_avx512vbmi2),
        feature!(extended, "gfni", ExtendedFeatures::has_gfni),
        feature!(extended, "vaes", ExtendedFeatures::has_vaes),
    ])
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
