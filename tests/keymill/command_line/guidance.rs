//! What docs/MEMORY.md and tools/deploy say in figures, compared with the program.

use std::path::Path;

use serde_json::Value;

use super::program::Place;
use crate::skip::skip;

/// The schemes of the sizing tables, and epochs a second and thread: half of what two threads make on the machine of
/// docs/PERFORMANCE.md.
const SIZED: [(&str, f64); 2] = [
    ("leansig-p1-l32-abort-v46-w8", 18_290.0),
    ("leanvm-blake2s-l32-ts-v42-w8", 206_700.0),
];
/// Part of a budget that is planned with.
const PLANNED: f64 = 0.75;

fn text(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn plan(place: &Place, flags: &str) -> Value {
    place.run(&format!("plan --json {flags}")).exits(0).json()
}

/// Whether the figures can be compared: those of the documents are of lanes of 512 bits, which take wider arenas.
fn has_the_lanes_of_the_documents() -> bool {
    let has = cfg!(target_feature = "avx512f");
    if !has {
        skip("this build has no lanes of 512 bits (AVX-512)");
    }
    has
}

fn bytes(plan: &Value, name: &str) -> f64 {
    plan[name].as_u64().unwrap() as f64
}

/// A number of bytes with three digits.
fn human(bytes: f64) -> String {
    let unit = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (0..unit.len())
        .rfind(|&power| bytes >= 1024_f64.powi(power as i32))
        .unwrap();
    let value = bytes / 1024_f64.powi(power as i32);
    let decimals = if value < 100.0 { 1 } else { 0 };
    format!("{value:.decimals$} {}", unit[power])
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "under 1 s".to_owned(),
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 100.0 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 72.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86400.0),
    }
}

#[test]
fn the_sizing_tables_are_what_the_program_plans() {
    const THREADS: [usize; 3] = [2, 8, 32];
    let place = Place::new();
    if !has_the_lanes_of_the_documents() {
        return;
    }
    for (scheme, thread_rate) in SIZED {
        let mut table = String::new();
        for (log_epochs, trim) in [17, 20, 24, 26, 28, 32]
            .into_iter()
            .flat_map(|log| [(log, 0), (log, 8)])
        {
            let request = format!("--scheme {scheme} --epochs 2^{log_epochs} --trim {trim} --memory 0");
            let plans = THREADS.map(|threads| plan(&place, &format!("{request} --threads {threads}")));
            let disk = human(bytes(&plans[0], "disk_bytes"));
            let memory = plans.map(|plan| human(bytes(&plan, "anonymous_bytes_max")));
            let epochs = 2_f64.powi(log_epochs);
            let time = THREADS.map(|threads| duration(epochs / (thread_rate * threads as f64)));
            let (memory, time) = (memory.join(" | "), time.join(" | "));
            table += &format!("| 2^{log_epochs} | {trim} | {disk} | {memory} | {time} |\n");
        }
        assert!(
            text("docs/MEMORY.md").contains(&table),
            "docs/MEMORY.md should have this of {scheme}:\n{table}"
        );
    }
}

/// What stands behind a word in a file, up to the end of the line.
fn after<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let found = text.lines().filter_map(|line| line.trim().split_once(word));
    found
        .filter(|(before, _)| before.is_empty())
        .map(|(_, rest)| rest.trim())
        .collect()
}

/// The flags of the job in a file of tools/deploy, as `plan` takes them.
fn flags(text: &str, word: &str) -> String {
    let list = after(text, word)[0].replace("${KEYMILL_CPUS:-4}", "4");
    let list = list.trim_matches(['[', ']']).replace(['"', ','], "");
    list.strip_prefix("keygen /keys/key ").unwrap().to_owned()
}

#[test]
fn the_containers_have_the_memory_and_the_disk_that_their_job_is_planned_with() {
    let place = Place::new();
    if !has_the_lanes_of_the_documents() {
        return;
    }
    let (compose, job) = (text("tools/deploy/compose.yaml"), text("tools/deploy/job.yaml"));
    let asked = flags(&compose, "command:");
    assert_eq!(asked, flags(&job, "args:"));
    assert_eq!(after(&compose, "mem_limit:"), ["64m"]);
    assert_eq!(after(&compose, "memswap_limit:"), ["64m"]);
    assert_eq!(after(&job, "memory:"), ["64Mi", "64Mi"]);
    let (free, bound) = (
        plan(&place, &format!("{asked} --memory 0")),
        plan(&place, &format!("{asked} --memory 64M")),
    );
    // Nothing has to be made smaller for the limit.
    for name in ["threads", "group_batches", "store_write_bytes", "anonymous_bytes_max"] {
        assert_eq!(bound[name], free[name], "{name}");
    }
    let cpus = format!("{}", free["threads"]);
    assert_eq!(after(&compose, "cpus:"), [format!("${{KEYMILL_CPUS:-{cpus}}}")]);
    assert_eq!(after(&job, "cpu:"), [&format!("\"{cpus}\"")]);
    let document = text("docs/MEMORY.md");
    let full_bytes = (bytes(&free, "anonymous_bytes_max") + bytes(&free, "file_pages_bytes_max")) / PLANNED;
    let refused = place.run(&format!("plan {asked} --memory 1M")).exits(4);
    let least_bytes = refused.all().split(" bytes are the least").next().unwrap().to_owned();
    let least_bytes: f64 = least_bytes.rsplit(' ').next().unwrap().parse().unwrap();
    let sentence = format!(
        "what is planned, over {PLANNED}, is {}: from there on nothing is made smaller; below {} it is refused",
        human(full_bytes),
        human(least_bytes)
    );
    assert!(document.contains(&sentence), "docs/MEMORY.md should say: {sentence}");
    let disk = human(bytes(&free, "disk_bytes"));
    assert!(document.contains(&format!("`plan` says {disk}")), "{disk}");
    let storage = after(&job, "storage:")[0]
        .strip_suffix("Gi")
        .unwrap()
        .parse::<f64>()
        .unwrap();
    assert!(storage * 1_073_741_824.0 > bytes(&free, "disk_bytes"));
}

#[test]
fn the_containers_repeat_what_a_repetition_can_mend_and_nothing_else() {
    let job = text("tools/deploy/job.yaml");
    // The answer is no, wrong usage, a damaged directory; not 4, 130 or 137.
    assert_eq!(after(&job, "values:"), ["[1, 2, 3]"]);
    assert_eq!(after(&job, "restartPolicy:"), ["Never"]);
    assert!(after(&text("tools/deploy/compose.yaml"), "restart:")[0].starts_with("on-failure:"));
}

#[test]
fn the_cluster_neither_opens_the_secret_to_a_group_nor_sets_what_is_no_setting() {
    let job = text("tools/deploy/job.yaml");
    assert_eq!(after(&job, "fsGroupChangePolicy:"), ["OnRootMismatch"]);
    assert_eq!(after(&job, "enableServiceLinks:"), ["false"]);
}

#[test]
fn the_image_is_built_by_the_toolchain_that_the_crate_names_and_runs_as_the_user_of_the_job() {
    let (image, job, manifest) = (
        text("tools/deploy/Dockerfile"),
        text("tools/deploy/job.yaml"),
        text("Cargo.toml"),
    );
    let version = after(&manifest, "rust-version =")[0].trim_matches('"');
    assert!(
        image.contains(&format!("FROM rust:{version}-bookworm AS build")),
        "{version}"
    );
    let user = after(&job, "runAsUser:")[0];
    assert_eq!(after(&image, "USER"), [format!("{user}:{user}")]);
    assert!(image.contains(&format!("useradd --uid {user} ")));
}
