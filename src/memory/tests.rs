use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

const MIB: u64 = 1 << 20;
/// What version 1 says where there is no limit, on machines with pages of 4 KiB.
const NO_LIMIT: &str = "9223372036854771712\n";

/// A file system as the kernel would show it.
struct Machine(TempDir);

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self(TempDir::new().unwrap());
        files.iter().for_each(|(name, text)| machine.set(name, text));
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn set(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn limits(&self) -> Limits {
        Limits::below(self.0.path())
    }

    /// Bytes, directory and file of each limit that a cgroup sets.
    fn of_cgroups(&self) -> Vec<(u64, PathBuf, &'static str)> {
        let limits = self.limits().memory.into_iter();
        let of_cgroup = |limit: Limit| match limit.source {
            LimitSource::Cgroup { directory, file } => Some((limit.bytes, directory, file)),
            _ => None,
        };
        limits.filter_map(of_cgroup).collect()
    }

    fn usage(&self) -> Usage {
        UsageReader::below(self.0.path()).read().unwrap()
    }
}

/// A machine with version 2, whose process is in /batch/job.
fn unified() -> Machine {
    Machine::new(&[
        ("proc/self/cgroup", "0::/batch/job\n"),
        (
            "proc/self/mountinfo",
            "24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
             31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:4 master:2 - cgroup2 cgroup2 rw,nsdelegate\n",
        ),
    ])
}

/// A machine with version 1, whose process is in /batch/job, and with a version 2 without controllers beside it.
fn hybrid() -> Machine {
    Machine::new(&[
        (
            "proc/self/cgroup",
            "5:cpu,cpuacct:/\n4:memory:/batch/job\n1:name=systemd:/memory\n0::/\n",
        ),
        (
            "proc/self/mountinfo",
            "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        ),
    ])
}

#[test]
fn the_lowest_of_nested_limits_is_found_in_both_versions() {
    let machine = unified();
    machine.set("sys/fs/cgroup/batch/job/memory.max", "max\n");
    machine.set("sys/fs/cgroup/batch/job/memory.high", "209715200\n");
    machine.set("sys/fs/cgroup/batch/memory.max", "104857600\n");
    machine.set("sys/fs/cgroup/batch/memory.high", "max\n");
    let (job, batch) = (
        machine.path("sys/fs/cgroup/batch/job"),
        machine.path("sys/fs/cgroup/batch"),
    );
    let expected = [(200 * MIB, job, "memory.high"), (100 * MIB, batch, "memory.max")];
    assert_eq!(machine.of_cgroups(), expected);
    assert_eq!(machine.limits().lowest().unwrap().bytes, 100 * MIB);

    let machine = hybrid();
    machine.set("sys/fs/cgroup/memory/memory.limit_in_bytes", NO_LIMIT);
    machine.set("sys/fs/cgroup/memory/batch/memory.limit_in_bytes", "73400320\n");
    machine.set("sys/fs/cgroup/memory/batch/job/memory.limit_in_bytes", NO_LIMIT);
    // Each of them tells of those around it.
    machine.set(
        "sys/fs/cgroup/memory/batch/memory.stat",
        "hierarchical_memory_limit 73400320\n",
    );
    machine.set(
        "sys/fs/cgroup/memory/batch/job/memory.stat",
        "hierarchical_memory_limit 73400320\n",
    );
    let batch = machine.path("sys/fs/cgroup/memory/batch");
    assert_eq!(machine.of_cgroups(), [(70 * MIB, batch, "memory.limit_in_bytes")]);
}

#[test]
fn the_lower_of_two_limits_of_one_cgroup_counts() {
    let machine = unified();
    machine.set("sys/fs/cgroup/batch/job/memory.max", "104857600\n");
    machine.set("sys/fs/cgroup/batch/job/memory.high", "52428800\n");
    let job = machine.path("sys/fs/cgroup/batch/job");
    assert_eq!(machine.of_cgroups(), [(50 * MIB, job, "memory.high")]);
}

/// Docker without a cgroup namespace: the mount shows the container's cgroup alone, under the path that it has outside.
#[test]
fn in_a_container_the_root_of_the_mount_is_taken_off_the_path() {
    let machine = Machine::new(&[
        ("proc/self/cgroup", "4:memory:/docker/c1\n"),
        (
            "proc/self/mountinfo",
            "35 31 0:32 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        ),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", NO_LIMIT),
        (
            "sys/fs/cgroup/memory/memory.stat",
            "cache 1\nhierarchical_memory_limit 94371840\n",
        ),
    ]);
    let memory = machine.path("sys/fs/cgroup/memory");
    let around = (90 * MIB, memory.clone(), "memory.stat, hierarchical_memory_limit");
    assert_eq!(machine.of_cgroups(), [around]);
    machine.set("sys/fs/cgroup/memory/memory.limit_in_bytes", "52428800");
    assert_eq!(
        machine.of_cgroups(),
        [(50 * MIB, memory.clone(), "memory.limit_in_bytes")]
    );
    machine.set("proc/self/cgroup", "4:memory:/docker/c1/inner\n");
    assert_eq!(machine.of_cgroups(), [(50 * MIB, memory, "memory.limit_in_bytes")]);
    // A neighbour whose name begins alike is not inside.
    machine.set("proc/self/cgroup", "4:memory:/docker/c12\n");
    assert_eq!(machine.of_cgroups(), []);
}

#[test]
fn of_several_mounts_the_one_that_shows_most_is_taken() {
    let machine = unified();
    let point = |root: &str, point: &str| format!("31 24 0:27 {root} {point} rw - cgroup2 cgroup2 rw\n");
    let mounts = [
        point("/batch/job", "/a"),
        point("/", "/b"),
        point("/batch", "/c"),
        point("/other", "/d"),
    ];
    machine.set("proc/self/mountinfo", &mounts.concat());
    for folder in ["a", "b", "c", "d"] {
        machine.set(&format!("{folder}/memory.max"), "1048576");
    }
    assert_eq!(machine.of_cgroups(), [(MIB, machine.path("b"), "memory.max")]);
}

#[test]
fn a_process_outside_of_what_its_namespace_shows_has_no_cgroup_to_be_seen() {
    let machine = unified();
    machine.set("sys/fs/cgroup/memory.max", "1048576");
    machine.set("sys/fs/batch/memory.max", "1048576");
    machine.set("proc/self/cgroup", "0::/../batch\n");
    assert_eq!(machine.of_cgroups(), []);
}

#[test]
fn escaped_characters_in_the_mount_table_are_read() {
    let machine = unified();
    let mount = "31 24 0:27 /my\\040work\\134\\0409 /c\\011group\\0x\\ rw - cgroup2 none rw\n";
    machine.set("proc/self/mountinfo", mount);
    machine.set("proc/self/cgroup", "0::/my work\\ 9/a:b\n");
    let directory = "c\tgroup\\0x\\/a:b";
    machine.set(&format!("{directory}/memory.max"), "1048576");
    assert_eq!(machine.of_cgroups(), [(MIB, machine.path(directory), "memory.max")]);
}

#[test]
fn odd_text_is_no_limit_and_no_error() {
    for (cgroup, mountinfo) in [
        ("", ""),
        ("\n\n", "\n"),
        ("0:/\n::\n:", "- - - -\n1 2 3 4 5 6 7 8\n"),
        ("0::/batch/job", "31 24 0:27 / /sys/fs/cgroup rw - cgroup2"),
        ("0::/batch/job", "31 24 0:27 / relative rw - cgroup2 none rw\n"),
        (
            "4:memory:/batch/job",
            "31 24 0:27 / /sys/fs/cgroup rw - cgroup none rw,cpu\n",
        ),
    ] {
        let machine = unified();
        machine.set("sys/fs/cgroup/memory.max", "1048576");
        machine.set("proc/self/cgroup", cgroup);
        machine.set("proc/self/mountinfo", mountinfo);
        assert_eq!(machine.of_cgroups(), [], "{cgroup:?} {mountinfo:?}");
    }
    for limit in [
        "",
        "max",
        "-1",
        "many",
        "1e9",
        "99999999999999999999999",
        "9223372036854775807",
    ] {
        let machine = unified();
        machine.set("sys/fs/cgroup/batch/job/memory.max", limit);
        assert_eq!(machine.of_cgroups(), [], "{limit:?}");
    }
    let machine = Machine::new(&[]);
    assert_eq!(machine.limits(), Limits::default());
    assert_eq!((machine.usage().shared, machine.usage().pressure_percent), (None, None));
}

#[test]
fn address_space_and_physical_memory_are_found() {
    let limits = |text: &str| format!("Limit   Soft Limit   Hard Limit   Units\nMax file size 7 7 bytes\n{text}\n");
    let machine = Machine::new(&[
        ("proc/meminfo", "MemTotal:       24681472 kB\nMemFree:  1 kB\n"),
        (
            "proc/self/limits",
            &limits("Max address space         536870912            unlimited            bytes"),
        ),
    ]);
    assert_eq!(machine.limits().address_bytes, Some(512 * MIB));
    let physical = Limit {
        bytes: 24_681_472 * 1024,
        source: LimitSource::PhysicalMemory,
    };
    assert_eq!(machine.limits().memory, std::slice::from_ref(&physical));
    assert_eq!(machine.limits().lowest(), Some(&physical));
    let unlimited = limits("Max address space         unlimited            unlimited            bytes");
    machine.set("proc/self/limits", &unlimited);
    assert_eq!(machine.limits().address_bytes, None);
}

/// 80 MiB of 100: of these 50 of page cache, 10 of them dirty, 5 being written.
#[test]
fn clean_page_cache_does_not_count_as_held_in_either_version() {
    let machine = unified();
    machine.set("sys/fs/cgroup/batch/job/memory.max", "104857600");
    machine.set("sys/fs/cgroup/batch/job/memory.current", "83886080\n");
    let statistics = "anon 1\nfile 2\ninactive_file 41943040\nactive_file 10485760\nfile_dirty 10485760\n\
                      file_writeback 5242880\nslab_reclaimable 1048576\ntotal_inactive_file 7\n";
    machine.set("sys/fs/cgroup/batch/job/memory.stat", statistics);
    let shared = machine.usage().shared.unwrap();
    assert_eq!((shared.used_bytes, shared.held_bytes), (80 * MIB, 44 * MIB));
    assert_eq!((shared.dirty_bytes, shared.limit.bytes), (15 * MIB, 100 * MIB));

    let machine = hybrid();
    machine.set("sys/fs/cgroup/memory/batch/job/memory.limit_in_bytes", "104857600");
    machine.set("sys/fs/cgroup/memory/batch/job/memory.usage_in_bytes", "83886080\n");
    let statistics = "inactive_file 7\nactive_file 7\ndirty 7\nwriteback 7\ntotal_dirty 10485760\n\
                      total_writeback 5242880\ntotal_inactive_file 41943040\ntotal_active_file 10485760\n";
    machine.set("sys/fs/cgroup/memory/batch/job/memory.stat", statistics);
    let shared = machine.usage().shared.unwrap();
    assert_eq!(
        (shared.used_bytes, shared.held_bytes, shared.dirty_bytes),
        (80 * MIB, 45 * MIB, 15 * MIB)
    );
}

#[test]
fn of_nested_cgroups_the_fullest_is_shown() {
    let machine = unified();
    for (folder, limit, used) in [("batch/job", 100 * MIB, 40 * MIB), ("batch", 200 * MIB, 150 * MIB)] {
        let at = format!("sys/fs/cgroup/{folder}");
        machine.set(&format!("{at}/memory.max"), &limit.to_string());
        machine.set(&format!("{at}/memory.current"), &used.to_string());
        machine.set(&format!("{at}/memory.stat"), "");
    }
    assert_eq!(machine.usage().shared.unwrap().held_bytes, 150 * MIB);
    // A limit that was lowered meanwhile counts at the next sample.
    machine.set("sys/fs/cgroup/batch/job/memory.max", &(50 * MIB).to_string());
    assert_eq!(machine.usage().shared.unwrap().held_bytes, 40 * MIB);
}

#[test]
fn what_cannot_be_read_gives_no_sample_and_what_was_lifted_does() {
    let machine = unified();
    let at = "sys/fs/cgroup/batch/job";
    for (file, text) in [("max", "104857600"), ("current", "1048576"), ("stat", "")] {
        machine.set(&format!("{at}/memory.{file}"), text);
    }
    let reader = UsageReader::below(machine.0.path());
    assert_eq!(reader.read().unwrap().shared.unwrap().held_bytes, MIB);
    for file in ["current", "stat"] {
        let path = machine.path(&format!("{at}/memory.{file}"));
        let text = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(reader.read(), None, "{file}");
        std::fs::write(&path, text).unwrap();
    }
    machine.set(&format!("{at}/memory.max"), "max");
    assert_eq!(reader.read().unwrap().shared, None);
    std::fs::remove_dir_all(machine.path(at)).unwrap();
    assert_eq!(reader.read(), None);
}

#[test]
fn the_pressure_of_the_cgroup_comes_before_that_of_the_machine() {
    let text = |some: &str| {
        format!("some avg10={some} avg60=9.00 avg300=9.00 total=9\nfull avg10=8.00 avg60=8.00 avg300=8.00 total=8\n")
    };
    let machine = unified();
    assert_eq!(machine.usage().pressure_percent, None);
    machine.set("proc/pressure/memory", &text("1.25"));
    assert_eq!(machine.usage().pressure_percent, Some(1.25));
    machine.set("sys/fs/cgroup/batch/job/memory.pressure", &text("62.50"));
    assert_eq!(machine.usage().pressure_percent, Some(62.5));
}

#[test]
fn a_source_names_itself() {
    let cgroup = LimitSource::Cgroup {
        directory: Path::new("/sys/fs/cgroup/job").to_owned(),
        file: "memory.max",
    };
    assert_eq!(cgroup.to_string(), "cgroup '/sys/fs/cgroup/job', memory.max");
    assert_eq!(LimitSource::PhysicalMemory.to_string(), "physical memory");
}
