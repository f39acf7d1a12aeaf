//! A Redis of our own.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// A running server on a unix socket in a private directory.
///
/// It ends when this value is dropped, and also when the process dies in whatever way: a shell waits
/// for the end of a pipe that only we hold open.
#[derive(Debug)]
pub struct Server {
    directory: PathBuf,
    keeper: Child,
    pipe: Option<ChildStdin>,
}

/// Runs the server, and again when it ended, but not while there is a file `down`. When the pipe closes it ends the
/// server and removes its directory.
const KEEPER: &str = r#"
serve() {
  while [ ! -e "$1/end" ]; do
    if [ ! -e "$1/down" ]; then
      redis-server --port 0 --unixsocket "$1/redis.sock" --unixsocketperm 700 --dir "$1" --save '' --appendonly no >>"$1/log" 2>&1 &
      echo $! >"$1/pid"
      wait $!
    fi
    sleep 0.02
  done
  touch "$1/ended"
}
serve "$1" &
cat >/dev/null
touch "$1/end"
until [ -e "$1/ended" ]; do
  kill -9 "$(cat "$1/pid")" 2>/dev/null
  sleep 0.02
done
rm -rf "$1"
"#;

/// The longest that a server takes to come or to go.
const PATIENCE: Duration = Duration::from_secs(10);

impl Server {
    /// Starts a server; `None`, said loudly, where there is no `redis-server`.
    pub fn start() -> Option<Self> {
        if let Err(e) = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status() {
            super::skip(&format!("redis-server cannot be run: {e}"));
            return None;
        }
        Some(Self::try_start().expect("redis-server starts in a fresh directory"))
    }

    fn try_start() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("tenon-redis-").tempdir()?.keep();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = keeper.stdin.take();
        let server = Self { directory, keeper, pipe };
        server.wait(true)?;
        Ok(server)
    }

    /// Waits until it answers, or until it does no more.
    fn wait(&self, until_it_is_there: bool) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tried = UnixStream::connect(self.socket());
            if tried.is_ok() == until_it_is_there {
                return Ok(());
            }
            if Instant::now() > deadline {
                return tried.map(drop).and(Err(io::ErrorKind::TimedOut.into()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the server, with all that it knew, until it is started again.
    pub fn stop(&self) -> io::Result<()> {
        std::fs::write(self.directory.join("down"), [])?;
        self.tell("SHUTDOWN NOSAVE")?;
        self.wait(false)
    }

    /// Starts the server that was stopped.
    pub fn start_again(&self) -> io::Result<()> {
        std::fs::remove_file(self.directory.join("down"))?;
        self.wait(true)
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("redis.sock")
    }

    /// Tells it one command, as a line, and gives the line it answers.
    pub fn tell(&self, command: &str) -> io::Result<String> {
        let mut stream = UnixStream::connect(self.socket())?;
        write!(stream, "{command}\r\n")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.keeper.wait();
    }
}

/// The URL of a server that all tests of this process share: use a prefix of your own.
pub fn shared() -> Option<String> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    let server = SHARED.get_or_init(Server::start).as_ref();
    if server.is_none() {
        super::skip("there is no Redis");
    }
    server.map(Server::url)
}
