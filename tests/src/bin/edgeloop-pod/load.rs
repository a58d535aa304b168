//! Connections at a steady rate.

use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use edgeloop_tests::{Failure, LoadReport};

use crate::{clients, join, say};

/// No test waits longer; a load that was left behind ends.
const AT_MOST: Duration = Duration::from_secs(600);

/// How far a thread may fall behind before it gives up what it owes.
const BEHIND: Duration = Duration::from_secs(1);

pub(crate) fn run(to: SocketAddr, per_second: u32, threads: u32) -> Result<()> {
    ensure!(per_second > 0 && threads > 0, "the rate and the number of threads must not be 0");
    let pause = Duration::from_secs(1) * threads / per_second;
    let report = Arc::new(Mutex::new(LoadReport::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let (report, stop) = (Arc::clone(&report), Arc::clone(&stop));
            // Spread over the pause, so that they do not dial all at once.
            let first = started + pause * number / threads;
            thread::spawn(move || dial_on_time(to, first, pause, &report, &stop))
        })
        .collect();
    join::at_end_of_input({
        let stop = Arc::clone(&stop);
        move || stop.store(true, Ordering::Relaxed)
    });

    while !stop.load(Ordering::Relaxed) {
        say(&mem::take(&mut *lock(&report)))?;
        thread::sleep(Duration::from_millis(100));
        if started.elapsed() > AT_MOST {
            stop.store(true, Ordering::Relaxed);
        }
    }
    for worker in workers {
        ensure!(worker.join().is_ok(), "a thread of the load panicked");
    }
    say(&*lock(&report))
}

fn dial_on_time(
    to: SocketAddr,
    first: Instant,
    pause: Duration,
    report: &Mutex<LoadReport>,
    stop: &AtomicBool,
) {
    let mut due = first;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let answer = clients::ask(to);
        {
            let mut report = lock(report);
            match answer.result {
                Ok(name) => *report.answered.entry(name).or_default() += 1,
                Err(errno) => report.failed.push(Failure { errno, began: answer.began }),
            }
        }
        due += pause;
        while due.elapsed() > BEHIND {
            due += pause;
            lock(report).skipped += 1;
        }
    }
}

fn lock(report: &Mutex<LoadReport>) -> MutexGuard<'_, LoadReport> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
