//! What ends the agent: a signal, or one of its parts that ends by itself.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// From a signal, or a fault, to the end of the process, whatever hangs: a look-up of a name, a system call,
/// a plugin. A kill at any point leaves a kernel that serves.
const AT_MOST: Duration = Duration::from_millis(1500);
/// For the last line of the log, which nothing may read.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Resolves with the first SIGINT or SIGTERM.
pub(super) type Asked = oneshot::Receiver<()>;

/// Notices SIGINT and SIGTERM from now on. After one of them the process ends, at the latest when
/// [`AT_MOST`] has passed.
///
/// # Errors
/// When there is no thread for it.
pub(super) fn listen() -> io::Result<Asked> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(entered);
    let (ask, asked) = oneshot::channel();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // The agent may be ending by itself.
        _ = ask.send(());
        exit_late(0);
    })?;
    Ok(asked)
}

/// After a fault the process ends with status 1 when [`AT_MOST`] has passed.
///
/// # Errors
/// When there is no thread for it.
pub(super) fn fault(end: &End) -> io::Result<()> {
    if let End::Part(part) = end {
        tracing::error!(%part, "a fault of the agent");
        thread::Builder::new().spawn(|| exit_late(1))?;
    }
    Ok(())
}

/// Ends the process with `code` if it does not end by itself.
fn exit_late(code: i32) {
    thread::sleep(AT_MOST);
    drop(thread::Builder::new().spawn(|| {
        tracing::warn!("a part of the agent did not end in time; the process ends without it");
    }));
    thread::sleep(LAST_WORD);
    std::process::exit(code);
}

/// Why the agent ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By a signal.
    Asked,
    /// The writer has ended. Its result says why.
    Writer,
    /// Another part has, and has no reason to.
    Part(PartEnded),
}

/// A part of the agent that ended by itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the agent ends, since a part of it did: {part} ({how}); the kernel goes on serving; start the agent again, \
     and report this as a fault"
)]
pub(super) struct PartEnded {
    part: &'static str,
    how: String,
}

/// Futures of how each part of the agent ended.
pub(super) struct Parts<S, E, N, D> {
    pub(super) source: S,
    pub(super) events: E,
    /// What is made known on the Node.
    pub(super) on_node: N,
    pub(super) doors: D,
}

/// Waits for the first of all that ends the agent.
pub(super) async fn first<S, E, N, D>(
    asked: &mut Asked,
    writer: oneshot::Receiver<()>,
    parts: Parts<S, E, N, D>,
) -> End
where
    S: Future<Output = String>,
    E: Future<Output = String>,
    N: Future<Output = String>,
    D: Future<Output = String>,
{
    let Parts { source, events, on_node, doors } = parts;
    let (part, how) = tokio::select! {
        // What ends because the writer has is no cause.
        biased;
        _ = asked => return End::Asked,
        _ = writer => return End::Writer,
        how = source => ("what follows the source", how),
        how = events => ("what makes Events", how),
        how = on_node => ("what changes the Node", how),
        how = doors => ("what serves socket and HTTP", how),
    };
    End::Part(PartEnded { part, how })
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    async fn goes_on() -> String {
        pending().await
    }

    async fn ends() -> String {
        ready("a fault".to_owned()).await
    }

    #[tokio::test]
    async fn whatever_part_ends_ends_the_agent_and_is_named() {
        let (_ask, mut asked) = oneshot::channel();
        let (one, two, three, four, five) = (
            oneshot::channel(),
            oneshot::channel(),
            oneshot::channel(),
            oneshot::channel(),
            oneshot::channel(),
        );
        let parts = |source, events, on_node, doors| {
            let of = |ends: bool| async move { if ends { self::ends().await } else { goes_on().await } };
            Parts { source: of(source), events: of(events), on_node: of(on_node), doors: of(doors) }
        };
        let ended = [
            first(&mut asked, one.1, parts(true, false, false, false)).await,
            first(&mut asked, two.1, parts(false, true, false, false)).await,
            first(&mut asked, three.1, parts(false, false, true, false)).await,
            first(&mut asked, four.1, parts(false, false, false, true)).await,
        ];
        for (ended, part) in ended.iter().zip(["the source", "Events", "the Node", "socket and HTTP"]) {
            let End::Part(ended) = ended else { panic!("{part}: {ended:?}") };
            let said = ended.to_string();
            assert!(said.contains(part) && said.contains("(a fault)"), "{said}");
        }
        drop(five.0);
        let all = parts(true, true, true, true);
        assert_eq!(first(&mut asked, five.1, all).await, End::Writer, "the cause of all");
    }

    #[tokio::test]
    async fn a_signal_ends_it() {
        let (ask, mut asked) = oneshot::channel();
        let (_alive, writer) = oneshot::channel();
        ask.send(()).unwrap();
        let parts = Parts { source: goes_on(), events: goes_on(), on_node: goes_on(), doors: goes_on() };
        assert_eq!(first(&mut asked, writer, parts).await, End::Asked);
    }
}
