//! A state file as a helper has left it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// Leaves one of this boot that tells of an awake sidecar with all there is to count, after `change`.
pub fn leave(state: &Path, sidecar: &str, change: impl FnOnce(&mut Value)) {
    let mut record = json!({
        "version": 1, "sidecar": sidecar, "container": sidecar, "state": "awake", "since_ms": 1, "why": {"kind": "never"},
        "connections": 2, "recent_wakes_ms": [150], "last_failure": {"at_ms": 1_700_000_000_000u64, "reason": "it died"},
        "totals": {
            "wakes_ready": 2, "wakes_late": 1, "wakes_failed": 3, "wake_times": [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            "wake_time_ms": 400_150, "connections": 9, "bytes_up": 1234, "bytes_down": 56789, "awake_ms": 5000, "paused_ms": 70,
        },
        "holds": [], "boot_id": fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim(),
        "container_id": null, "started_at": null, "failures": 0, "pid": 1, "written_ms": 1,
    });
    change(&mut record);
    fs::write(state.join(format!("{sidecar}.json")), record.to_string()).unwrap();
}
