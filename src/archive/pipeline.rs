//! Blocks that several threads work on, fed and drained in order by one each.
//!
//! A fixed number of blocks goes round: from the feeder to whichever worker is free, to the drain, and back. So the memory
//! is that of these blocks, however long the stream is. Whoever stops, for an error or otherwise, lets go of its end of
//! a channel, and the others see that and stop as well.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, Scope, available_parallelism, scope};

const MOST_WORKERS: usize = 8;
/// One in work and one ready.
const BLOCKS_A_WORKER: usize = 2;
/// What the compressors need is on the heap.
const STACK_BYTES: usize = 512 * 1024;

/// A piece of the stream in both forms; its buffers are used again and again.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// As in the tar.
    pub(super) plain: Vec<u8>,
    /// As in the file.
    pub(super) packed: Vec<u8>,
    number: u64,
}

type Done = (u64, io::Result<Block>);

/// How many threads share the work on `blocks`.
pub(super) fn workers_for(blocks: u64) -> usize {
    let cores = available_parallelism().map_or(1, Into::into);
    let useful = usize::try_from(blocks).unwrap_or(usize::MAX);
    cores.min(MOST_WORKERS).min(useful).max(1)
}

/// The end that hands blocks in.
pub(super) struct Feed {
    free: Receiver<Block>,
    jobs: Sender<Block>,
    next: u64,
}

impl Feed {
    /// A block to fill; waits until there is one.
    ///
    /// # Errors
    /// When the drain is gone: nobody wants more.
    pub(super) fn free_block(&self) -> io::Result<Block> {
        self.free.recv().map_err(|_| stopped())
    }

    /// Hands a block in.
    pub(super) fn send(&mut self, mut block: Block) -> io::Result<()> {
        block.number = self.next;
        self.next += 1;
        self.jobs.send(block).map_err(|_| stopped())
    }
}

fn stopped() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

/// The end where blocks come out in the order in which they were handed in.
pub(super) struct Drain {
    free: Sender<Block>,
    done: Receiver<Done>,
    /// What came before its turn; no more than there are blocks.
    early: BTreeMap<u64, io::Result<Block>>,
    next: u64,
    lent: Option<Block>,
}

impl Drain {
    /// The next block, worked on; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<&Block>> {
        if let Some(block) = self.lent.take() {
            // A feeder that is done takes none back.
            let _ = self.free.send(block);
        }
        let Some(result) = self.in_turn() else {
            return Ok(None);
        };
        self.next += 1;
        self.lent = Some(result?);
        Ok(self.lent.as_ref())
    }

    /// The block that was lent last.
    pub(super) fn current(&self) -> Option<&Block> {
        self.lent.as_ref()
    }

    fn in_turn(&mut self) -> Option<io::Result<Block>> {
        loop {
            if let Some(result) = self.early.remove(&self.next) {
                return Some(result);
            }
            let (number, result) = self.done.recv().ok()?;
            self.early.insert(number, result);
        }
    }
}

/// Runs `feed` on a thread of its own and each of `workers` on one, and `drain` on this one. An error of the feeder or of
/// a worker comes out of the drain, in its turn.
///
/// # Errors
/// When a thread cannot be started.
pub(super) fn run<T>(
    workers: Vec<impl FnMut(&mut Block) -> io::Result<()> + Send>,
    feed: impl FnOnce(&mut Feed) -> io::Result<()> + Send,
    drain: impl FnOnce(Drain) -> T,
) -> io::Result<T> {
    let (free_sender, free) = channel();
    let (jobs_sender, jobs) = channel();
    let (done_sender, done) = channel();
    for _ in 0..workers.len() * BLOCKS_A_WORKER {
        // Its receiver is right here.
        let _ = free_sender.send(Block::default());
    }
    let jobs = Mutex::new(jobs);
    let jobs = &jobs;
    scope(|scope| {
        for mut work in workers {
            let done = done_sender.clone();
            start(scope, "worker", move || work_on(jobs, &done, &mut work))?;
        }
        let feed_all = move || {
            let mut end = Feed {
                free,
                jobs: jobs_sender,
                next: 0,
            };
            let fed = guarded(|| feed(&mut end));
            if let Err(error) = fed {
                let _ = done_sender.send((end.next, Err(error)));
            }
        };
        start(scope, "feeder", feed_all)?;
        Ok(drain(Drain {
            free: free_sender,
            done,
            early: BTreeMap::new(),
            next: 0,
            lent: None,
        }))
    })
}

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    Builder::new()
        .name(name.into())
        .stack_size(STACK_BYTES)
        .spawn_scoped(scope, work)
        .map(drop)
}

fn work_on(
    jobs: &Mutex<Receiver<Block>>,
    done: &Sender<Done>,
    work: &mut impl FnMut(&mut Block) -> io::Result<()>,
) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut block) = next else {
            return;
        };
        let number = block.number;
        let worked = guarded(|| work(&mut block)).map(|()| block);
        if done.send((number, worked)).is_err() {
            return;
        }
    }
}

/// A panic as an error: the other threads would wait for this one for ever.
fn guarded(work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(io::Error::other(format!(
            "a thread died, which is a defect of safestep; please report it: {}",
            words_of(panic.as_ref())
        )))
    })
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(words), _) => words,
        (None, Some(words)) => words,
        (None, None) => "no words",
    }
}

/// Runs `work` on a thread that stands back for others, as do the threads that it starts: the migration that goes on beside
/// it holds the write lock.
pub fn at_low_priority<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    scope(|scope| {
        let low = || {
            lower_priority();
            work()
        };
        let thread = Builder::new()
            .name("archive".into())
            .spawn_scoped(scope, low)?;
        thread
            .join()
            .map_err(|panic| io::Error::other(words_of(panic.as_ref()).to_owned()))
    })
}

/// Linux counts the priority by thread. Elsewhere it is that of the process, and stays.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        // A tenth of what others get. With 19, a busy machine would have the job wait for its archive for minutes.
        const NICE: i32 = 10;
        // Where that is not allowed, it is as it was.
        let _ = rustix::process::setpriority_process(None, NICE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKERS: usize = 4;

    /// Feeds the numbers below `count`, has `work` done on each, and collects what comes out.
    fn through(
        count: u64,
        work: impl Fn(u64) -> io::Result<()> + Clone + Send,
        limit: usize,
    ) -> io::Result<Vec<u64>> {
        let workers = vec![
            move |block: &mut Block| {
                block.packed.clone_from(&block.plain);
                work(number(&block.plain))
            };
            WORKERS
        ];
        let feed = move |feed: &mut Feed| {
            for n in 0..count {
                let mut block = feed.free_block()?;
                block.plain.clear();
                block.plain.extend(n.to_le_bytes());
                feed.send(block)?;
            }
            Ok(())
        };
        run(workers, feed, |mut drain| {
            let mut seen = Vec::new();
            while seen.len() < limit
                && let Some(block) = drain.next()?
            {
                seen.push(number(&block.packed));
            }
            Ok(seen)
        })?
    }

    fn number(bytes: &[u8]) -> u64 {
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }

    #[test]
    fn blocks_come_out_in_the_order_in_which_they_went_in() {
        let uneven = |n: u64| {
            for _ in 0..n % 7 * 1000 {
                std::hint::black_box(n);
            }
            Ok(())
        };
        let seen = through(10_000, uneven, usize::MAX).expect("all of them");
        assert_eq!(seen, (0..10_000).collect::<Vec<_>>());
        assert!(through(0, uneven, usize::MAX).expect("none").is_empty());
    }

    #[test]
    fn an_error_or_a_panic_of_a_worker_ends_it_all_in_its_turn() {
        let failing = |n| match n {
            500 => Err(io::Error::other("the five hundredth")),
            _ => Ok(()),
        };
        let error = through(10_000, failing, usize::MAX).expect_err("it fails");
        assert_eq!(error.to_string(), "the five hundredth");
        let dying = |n: u64| {
            assert!(n != 500, "the worker dies");
            Ok(())
        };
        let error = through(10_000, dying, usize::MAX).expect_err("it dies");
        assert!(error.to_string().contains("the worker dies"), "{error}");
    }

    #[test]
    fn a_drain_that_has_enough_ends_it_all() {
        assert_eq!(through(u64::MAX, |_| Ok(()), 3).expect("three"), [0, 1, 2]);
    }

    #[test]
    fn an_error_of_the_feeder_comes_behind_what_it_has_fed() {
        let workers = vec![|_: &mut Block| Ok(()); WORKERS];
        let feed = |feed: &mut Feed| {
            let block = feed.free_block()?;
            feed.send(block)?;
            Err(io::Error::other("no more"))
        };
        run(workers, feed, |mut drain| {
            assert!(drain.next().expect("the first").is_some());
            let error = drain.next().expect_err("the second");
            assert_eq!(error.to_string(), "no more");
        })
        .expect("threads");
    }
}
