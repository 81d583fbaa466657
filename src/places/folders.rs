//! Where the system's manager and that of a user have things: file-hierarchy(7), the XDG base directories, systemd.unit(5).

use std::env;
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};

/// The folders of one manager.
#[derive(Debug)]
pub struct Folders {
    /// The option by which systemctl and its like mean this manager, after a blank.
    pub option: &'static str,
    /// What `%t` stands for.
    pub runtime: PathBuf,
    /// The configuration.
    pub configuration: PathBuf,
    /// The state files.
    pub states: PathBuf,
    /// The units of an admin, or of the user himself.
    pub units: PathBuf,
    /// The load path of units, of which the first folder that has a file wins.
    pub unit_path: Vec<PathBuf>,
    /// Where engines listen, of which the first that is there counts.
    pub engines: Vec<PathBuf>,
}

impl Folders {
    /// Those of the system.
    pub fn of_system() -> Folders {
        let unit_path = [
            "/etc/systemd/system.control",
            "/run/systemd/system.control",
            "/run/systemd/transient",
            "/run/systemd/generator.early",
            "/etc/systemd/system",
            "/etc/systemd/system.attached",
            "/run/systemd/system",
            "/run/systemd/generator",
            "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system",
            // Where that is not the same.
            "/lib/systemd/system",
            "/run/systemd/generator.late",
        ];
        Folders {
            option: "",
            runtime: "/run".into(),
            configuration: "/etc/rouse".into(),
            states: "/var/lib/rouse".into(),
            units: "/etc/systemd/system".into(),
            unit_path: unit_path.map(PathBuf::from).into(),
            engines: engines(Path::new("/run")).into(),
        }
    }

    /// Those of the user who runs this.
    pub fn of_user() -> Folders {
        let home = env::var("HOME").ok().filter(|home| home.starts_with('/')).map(PathBuf::from);
        let known = || User::from_uid(geteuid()).ok().flatten().map(|user| user.dir);
        let runtime = PathBuf::from(format!("/run/user/{}", geteuid()));
        let home = home.or_else(known).unwrap_or_else(|| "/".into());
        Folders::below(&home, &runtime, |name| env::var(name).ok())
    }

    /// A user's, where `variable` does not say otherwise; what it says counts only as an absolute path.
    fn below(home: &Path, runtime: &Path, variable: impl Fn(&str) -> Option<String>) -> Folders {
        let folder = |name, usual: PathBuf| {
            let given = variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
            given.unwrap_or(usual)
        };
        let runtime = folder("XDG_RUNTIME_DIR", runtime.to_owned());
        let configuration = folder("XDG_CONFIG_HOME", home.join(".config"));
        let data = folder("XDG_DATA_HOME", home.join(".local/share"));
        let unit_path = vec![
            configuration.join("systemd/user.control"),
            runtime.join("systemd/user.control"),
            runtime.join("systemd/transient"),
            runtime.join("systemd/generator.early"),
            configuration.join("systemd/user"),
            "/etc/xdg/systemd/user".into(),
            "/etc/systemd/user".into(),
            runtime.join("systemd/user"),
            "/run/systemd/user".into(),
            runtime.join("systemd/generator"),
            data.join("systemd/user"),
            "/usr/local/share/systemd/user".into(),
            "/usr/share/systemd/user".into(),
            "/usr/local/lib/systemd/user".into(),
            "/usr/lib/systemd/user".into(),
            runtime.join("systemd/generator.late"),
        ];
        Folders {
            option: " --user",
            configuration: configuration.join("rouse"),
            states: folder("XDG_STATE_HOME", home.join(".local/state")).join("rouse"),
            units: configuration.join("systemd/user"),
            unit_path,
            // His own before those of the system.
            engines: [engines(&runtime), engines(Path::new("/run"))].concat(),
            runtime,
        }
    }
}

fn engines(runtime: &Path) -> [PathBuf; 2] {
    ["docker.sock", "podman/podman.sock"].map(|socket| runtime.join(socket))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Folders;

    #[test]
    fn a_users_folders_are_his_own_and_follow_absolute_variables() {
        let none = |_: &str| None;
        let usual = Folders::below(Path::new("/home/me"), Path::new("/run/user/7"), none);
        assert_eq!(usual.configuration, Path::new("/home/me/.config/rouse"));
        assert_eq!(usual.states, Path::new("/home/me/.local/state/rouse"));
        assert_eq!(usual.runtime, Path::new("/run/user/7"));
        assert_eq!(usual.engines[1], Path::new("/run/user/7/podman/podman.sock"));
        assert_eq!(usual.engines[2..], Folders::of_system().engines);
        let moved = |name: &str| match name {
            "XDG_STATE_HOME" => Some("state".to_owned()),
            name => Some(format!("/{name}")),
        };
        let moved = Folders::below(Path::new("/home/me"), Path::new("/run/user/7"), moved);
        assert_eq!(moved.units, Path::new("/XDG_CONFIG_HOME/systemd/user"));
        assert_eq!(moved.runtime, Path::new("/XDG_RUNTIME_DIR"));
        assert_eq!(moved.states, usual.states, "not absolute");
        assert!(moved.unit_path.contains(&"/XDG_DATA_HOME/systemd/user".into()));
    }
}
