//! What this machine has. Every function names what is missing, and how to get it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `path`, beside the workspace.
fn beside(path: &str) -> Vec<String> {
    let there = root().join(path).exists();
    (!there).then(|| path.to_owned()).into_iter().collect()
}

/// A program of the path.
pub fn in_path(program: &str) -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    (!there).then(|| program.to_owned()).into_iter().collect()
}

/// The right to do what root alone may.
pub fn root_user() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("Uid:"));
    let is_root = line.and_then(|l| l.split_whitespace().nth(1)) == Some("0");
    (!is_root).then(|| "root".to_owned()).into_iter().collect()
}

/// A broker of messages, and its clients.
pub fn mosquitto() -> Vec<String> {
    let broker = in_path("mosquitto");
    let beside = Path::new("/usr/sbin/mosquitto").is_file();
    let broker = if beside { Vec::new() } else { broker };
    [broker, in_path("mosquitto_sub"), in_path("mosquitto_pub")].concat()
}

/// ZeroMQ's module of Python. A machine may have a Python of its own before Debian's.
pub fn python3_zmq() -> Vec<String> {
    let import = ["-c", "import zmq"];
    let all = ["python3", "/usr/bin/python3"].map(|p| program(p, &import));
    let has_it = all.iter().any(Vec::is_empty);
    let missing = (!has_it).then(|| "python3-zmq".to_owned());
    missing.into_iter().collect()
}

/// What boards with real sshd are made of: namespaces, and root's right to make them.
pub fn sshd() -> Vec<String> {
    let beside = Path::new("/usr/sbin/sshd").is_file();
    let server = if beside { Vec::new() } else { in_path("sshd") };
    let others = ["ssh", "scp", "ip", "python3"].map(in_path).concat();
    let namespaces = program("unshare", &["-m", "-n", "-p", "--fork", "true"]);
    [server, others, namespaces].concat()
}

/// A systemd that can be started in a namespace.
pub fn systemd() -> Vec<String> {
    let mut missing = Vec::new();
    if !Path::new("/lib/systemd/systemd").is_file() {
        missing.push("systemd".into());
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let groups = mounts.lines().map(|l| l.split_whitespace());
    let mut groups = groups.filter_map(|mut f| Some((f.nth(1)?, f.next()?)));
    let root = groups
        .find(|(_, kind)| *kind == "cgroup2")
        .map(|(at, _)| at);
    let group = root.map(|r| Path::new(r).join(format!("tessera-look-{}", std::process::id())));
    if !group.is_some_and(|g| fs::create_dir(&g).is_ok() && fs::remove_dir(&g).is_ok()) {
        missing.push("the right to make control groups of version 2".into());
    }
    missing
}

/// A program that runs with these arguments.
pub fn program(name: &str, arguments: &[&str]) -> Vec<String> {
    let ran = Command::new(name).args(arguments).output();
    let works = ran.is_ok_and(|out| out.status.success());
    let what = [&[name], arguments].concat().join(" ");
    (!works).then_some(what).into_iter().collect()
}

/// Outputs of the real Darknet.
pub fn golden() -> Vec<String> {
    beside("../shared/golden")
}

/// A script that computes the numbers of the DeepThings paper independently.
pub fn ftp_facts() -> Vec<String> {
    [beside("../shared/arena/ftp_facts.py"), in_path("python3")].concat()
}

/// The right to make a control group of version 1 that has `file`.
pub fn control_group(controller: &str, file: &str) -> Vec<String> {
    let name = format!("tessera-look-{}", std::process::id());
    let controller = Path::new("/sys/fs/cgroup").join(controller);
    let group = controller.join(name);
    let there = fs::create_dir(&group).is_ok() && group.join(file).exists();
    let _ = fs::remove_dir(&group);
    let what = format!("the right to make folders in {}", controller.display());
    (!there).then_some(what).into_iter().collect()
}

/// The right to make network namespaces with an interface between them.
pub fn network_namespaces() -> Vec<String> {
    let name = format!("tessera-look-{}", std::process::id());
    let run = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let ran = Command::new("ip").args(words).output();
        ran.is_ok_and(|out| out.status.success())
    };
    let there = run(&format!("netns add {name}"));
    let linked = there && run(&format!("-n {name} link add end0 type veth peer name end1"));
    if there {
        run(&format!("netns del {name}"));
    }
    let what = "ip netns (iproute2, and the right to use it)";
    (!linked).then_some(what.to_owned()).into_iter().collect()
}

/// What compiling and running a program for `triple` takes: `.cargo/config.toml` names the tools.
pub fn cross(triple: &str) -> Vec<String> {
    let config = fs::read_to_string(root().join(".cargo/config.toml")).unwrap_or_default();
    let mut missing = Vec::new();
    for key in ["linker", "runner"] {
        match tool(&config, triple, key) {
            Some(program) => missing.extend(in_path(program)),
            None => missing.push(format!("a {key} for {triple} in .cargo/config.toml")),
        }
    }
    if !standard_library(triple) {
        missing.push(format!("the standard library (rustup target add {triple})"));
    }
    missing
}

/// The program of `key = "PROGRAM FLAGS"` in the table of `triple`.
fn tool<'c>(config: &'c str, triple: &str, key: &str) -> Option<&'c str> {
    let table = config.split_once(&format!("[target.{triple}]"))?.1;
    let table = table.split("\n[").next()?;
    let value = table.lines().find_map(|l| l.strip_prefix(key))?;
    let value = value.trim_start().strip_prefix('=')?.trim();
    value.trim_matches('"').split_whitespace().next()
}

fn standard_library(triple: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Ok(out) = Command::new(rustc).args(["--print", "sysroot"]).output() else {
        return false;
    };
    let sysroot = String::from_utf8_lossy(&out.stdout);
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib").join(triple);
    libraries.join("lib").is_dir()
}

/// Eight single-precision lanes with fused multiply-add and conversions from half precision.
pub fn x86_64v3() -> Vec<String> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
    {
        return Vec::new();
    }
    vec!["a processor with AVX2, FMA and F16C".into()]
}

/// Sixteen single-precision lanes.
pub fn x86_64v4() -> Vec<String> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
    {
        return Vec::new();
    }
    vec!["a processor with AVX-512 F, BW, DQ and VL".into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_read_from_the_table_of_their_triple() {
        let config = "[target.a]\nlinker = \"a-gcc\"\n\n[target.b]\nrunner = \"emulate -L /b\"\n";
        assert_eq!(tool(config, "a", "linker"), Some("a-gcc"));
        assert_eq!(tool(config, "b", "runner"), Some("emulate"));
        assert_eq!(tool(config, "a", "runner"), None);
        assert_eq!(tool(config, "c", "runner"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(beside("no/such/folder"), ["no/such/folder"]);
        assert!(beside("Cargo.toml").is_empty());
        assert_eq!(in_path("no-such-program"), ["no-such-program"]);
        let missing = cross("no-such-triple");
        assert_eq!(missing.len(), 3, "{missing:?}");
    }
}
