//! A machine: a process in network, mount, process, host name and IPC namespaces of its own, and everything that runs in them.
//!
//! The kernel does the cleaning. The machine's first process is process 1 of its namespace: when it ends, every process in
//! the machine is killed with it, containers too, and with the last process go the mounts, the network and its links.
//!
//! Inside, paths are those of an ordinary node. /var, /run and /opt are folders under the machine's folder on the host, /etc
//! is the host's with an upper layer there. So kubelet, containerd and CNI plugins run with their defaults and still write
//! nothing on the host. The programs and the cluster's folder are under [`names::INSIDE`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::assets::Assets;
use crate::command::{self, Ran};
use crate::names;
use crate::proc::ProcessId;
use crate::wait;

/// Run by the machine's first process. `$1` is the machine's folder, `$2` the cluster's, `$3` the programs', `$4` the folder
/// of KUBEBUILDER_ASSETS or nothing, `$5` the machine's name.
const SETUP: &str = r#"
set -eu
hostname "$5" 2>/dev/null || echo "$5" > /proc/sys/kernel/hostname
ip link set lo up
for pair in "$2=cluster" "$3=bin" ${4:+"$4=kubebuilder"}; do
    mkdir -p "$1/run/nv-ipam-e2e/${pair##*=}"
    mount --bind "${pair%=*}" "$1/run/nv-ipam-e2e/${pair##*=}"
done
# The kubelet sets these for the whole machine. It finds them set here, and leaves the host alone.
mount_value() { mkdir -p "$1/sysctl"; echo "$3" > "$1/sysctl/${2##*/}"; mount --bind "$1/sysctl/${2##*/}" "/proc/sys/$2"; }
mount_value "$1" vm/overcommit_memory 1
mount_value "$1" vm/panic_on_oom 0
mount_value "$1" kernel/panic 10
mount_value "$1" kernel/panic_on_oops 1
mount_value "$1" kernel/keys/root_maxkeys 1000000
mount_value "$1" kernel/keys/root_maxbytes 25000000
mkdir -p "$1/etc" "$1/etc.work" "$1/opt" "$1/var/lib" "$1/var/log" "$1/var/tmp" "$1/run/lock"
ln -sfn /run "$1/var/run"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/etc,workdir=$1/etc.work" /etc
mkdir -p /etc/cni/net.d
mount --bind "$1/opt" /opt
mkdir -p /opt/cni/bin
# Whatever is still to be done on the host's paths has been done: these two may hide them.
mount --rbind "$1/run" /run
mount --rbind "$1/var" /var
: > "/run/nv-ipam-e2e/cluster/$5/ready"
"#;

/// Ends when standard input does: with the test process, however that ends. The shell reaps orphans, as process 1 must.
const UNTIL_OWNER_ENDS: &str = "exec 3<&0; cat <&3 >/dev/null & wait $!";
/// Never ends by itself.
const FOR_EVER: &str = "while :; do sleep 2147483 & wait $!; done";

/// How long a machine lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as the process that started it, also if that is killed with SIGKILL.
    OfOwner,
    /// Until it is taken down.
    UntilTakenDown,
}

/// A machine that is up. Dropping it ends one of [`Lifetime::OfOwner`].
#[derive(Debug)]
pub struct Machine {
    /// Its host name; a node's name in the API too.
    pub name: String,
    /// Its folder on the host: /var, /run and /opt are `var`, `run` and `opt` in it.
    pub folder: PathBuf,
    /// Its first process.
    pub first: ProcessId,
    /// Reaped when it has ended, so that no zombie stays.
    _child: Child,
}

impl Machine {
    /// Starts a machine and waits until its mounts are made. `register` is called with its first process as soon as that
    /// exists, so that it can be cleaned up after a crash.
    pub async fn start(
        name: &str,
        cluster: &Path,
        assets: &Assets,
        lifetime: Lifetime,
        register: impl FnOnce(&ProcessId) -> Result<()>,
    ) -> Result<Self> {
        let folder = cluster.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        let log = folder.join("machine.log");
        let (hold, stdin) = match lifetime {
            Lifetime::OfOwner => (UNTIL_OWNER_ENDS, Stdio::piped()),
            Lifetime::UntilTakenDown => (FOR_EVER, Stdio::null()),
        };
        let output = fs::File::create(&log)?;
        let mut child = holder(&folder, hold)
            .arg(&folder)
            .arg(cluster)
            .arg(&assets.cache)
            .arg(assets.kubebuilder.as_deref().unwrap_or(Path::new("")))
            .arg(name)
            .stdin(stdin)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("could not start `unshare`")?;
        let unshare = ProcessId::of(i32::try_from(child.id())?).context("`unshare` ended at once")?;
        let ready = folder.join("ready");
        let first = wait::until(
            &format!("machine {name}"),
            Duration::from_secs(20),
            async || match (unshare.child(), child.try_wait()) {
                (_, Ok(Some(status))) => wait::done(Err(anyhow::anyhow!("it ended with {status}"))),
                (Some(first), _) => wait::done(Ok(first)),
                (None, _) => wait::not_yet("no first process"),
            },
        )
        .await
        .and_then(|first| first)
        .with_context(|| format!("machine {name} did not start: {}", tail(&log)))?;
        register(&first)?;
        wait::until(
            &format!("the mounts of machine {name}"),
            Duration::from_secs(20),
            async || {
                if ready.exists() {
                    wait::done(Ok(()))
                } else if first.is_alive() {
                    wait::not_yet(tail(&log))
                } else {
                    wait::done(Err(anyhow::anyhow!(
                        "setting up machine {name} failed: {}",
                        tail(&log)
                    )))
                }
            },
        )
        .await??;
        Ok(Self {
            name: name.to_owned(),
            folder,
            first,
            _child: child,
        })
    }

    /// A path inside the machine, as the host can open it. Files are seen through the machine's own mounts.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.first.pid))
    }

    /// The words that run a program inside the machine.
    #[must_use]
    pub fn enter<S: AsRef<str>>(&self, argv: &[S]) -> Vec<String> {
        enter(&self.first, argv)
    }

    /// Runs a program inside the machine to its end.
    pub async fn exec<S: AsRef<str>>(&self, argv: &[S]) -> Result<Ran> {
        self.exec_with(argv, &[], b"").await
    }

    /// Runs a program inside the machine, with these variables (and PATH) as its environment and `stdin` as its input.
    pub async fn exec_with<S: AsRef<str>>(
        &self,
        argv: &[S],
        env: &[(&str, &str)],
        stdin: &[u8],
    ) -> Result<Ran> {
        ensure!(
            self.first.is_alive(),
            "machine {} is not running any more",
            self.name
        );
        let mut command = command::command(&self.enter(argv));
        command.env_clear().envs(environment()).envs(env.iter().copied());
        command::run(command, stdin).await
    }

    /// Runs `ip` with these commands, one a line, in the machine's network.
    pub async fn ip(&self, commands: &str) -> Result<()> {
        self.exec_with(&["ip", "-batch", "-"], &[], commands.as_bytes())
            .await?
            .success()?;
        Ok(())
    }
}

/// The words that run a program inside the machine with this first process.
#[must_use]
pub fn enter<S: AsRef<str>>(first: &ProcessId, argv: &[S]) -> Vec<String> {
    let target = first.pid.to_string();
    let enter = [
        "nsenter", "--target", &target, "--net", "--mount", "--pid", "--uts", "--ipc", "--",
    ];
    enter
        .into_iter()
        .chain(argv.iter().map(AsRef::as_ref))
        .map(str::to_owned)
        .collect()
}

/// The environment of programs inside a machine: nothing of ours but the way to programs.
#[must_use]
pub fn environment() -> [(&'static str, String); 2] {
    let path = format!(
        "{}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        names::INSIDE
    );
    [("PATH", path), ("HOME", "/root".to_owned())]
}

fn holder(folder: &Path, hold: &str) -> Command {
    let mut command = Command::new("setsid");
    command
        .args([
            "unshare",
            "--net",
            "--mount",
            "--uts",
            "--ipc",
            "--propagation",
            "private",
        ])
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .args(["sh", "-c", &format!("{SETUP}\n{hold}"), "machine"])
        .env_clear()
        .envs(environment())
        .current_dir(folder);
    command
}

fn tail(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default().trim().to_owned()
}
