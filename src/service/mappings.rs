//! How many layer files may be mapped.

use std::path::Path;

/// What Linux lets a process have of mappings (proc_sys_vm(5)).
const MAP_COUNT: &str = "/proc/sys/vm/max_map_count";
/// Its default, where it cannot be read.
const MAP_COUNT_DEFAULT: usize = 65_530;

/// How many layer files a service maps at most: three quarters of what a process may have of mappings. The rest is for stacks, for
/// the allocator, and for blocks of trimmed keys. Beyond the limit nothing could be mapped, and no memory be allocated.
pub(super) fn mappings_max() -> usize {
    let allowed = std::fs::read_to_string(Path::new(MAP_COUNT));
    let allowed = allowed.ok().and_then(|text| text.trim().parse().ok());
    allowed.unwrap_or(MAP_COUNT_DEFAULT) / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::mappings_max;

    #[test]
    fn layer_files_leave_room_for_other_mappings() {
        let text = std::fs::read_to_string(super::MAP_COUNT).unwrap();
        let allowed: usize = text.trim().parse().unwrap();
        assert!(mappings_max() > 0 && mappings_max() + allowed / 4 <= allowed);
    }
}
