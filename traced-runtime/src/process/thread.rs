//! Threads that the program's own signal handling never meets.

use std::io;
use std::thread::{Builder, JoinHandle};

use once_cell::sync::OnceCell;

/// What each of our threads does first.
static START: OnceCell<fn()> = OnceCell::new();

/// Lets each thread that is [started](spawn_quiet) from now on do this first. Set once, with the first builder of a tracer:
/// the layer that knows how a thread is kept from recording stands above this one.
pub(crate) fn start_with(start: fn()) {
    START.get_or_init(|| start);
}

/// Starts a thread of our own: it [records nothing](start_with), and signals are blocked from its first instruction on.
///
/// A signal sent to the process is handled by any thread that does not block it: a handler of the program must not run
/// on our threads, and a program that blocks a signal everywhere and waits for it must not be killed because of us. Not
/// blocked are the signals that a fault raises on the thread itself, and the profiler's clock.
pub(crate) fn spawn_quiet(name: String, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    // A name with a NUL would panic; Linux shows 15 bytes of it.
    let name = name.replace('\0', "");
    let builder = Builder::new().name(name);
    #[cfg(unix)]
    let _restore = SignalMask::block();
    builder.spawn(move || {
        if let Some(start) = START.get() {
            start();
        }
        body();
    })
}

/// The caller's signal mask, put back when dropped.
#[cfg(unix)]
struct SignalMask(Option<libc::sigset_t>);

#[cfg(unix)]
#[expect(unsafe_code, reason = "there is no safe way to set a thread's signal mask")]
impl SignalMask {
    /// Signals that a thread raises by what it does itself; blocking them would end the process without a word.
    const OWN: [libc::c_int; 8] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGSYS,
        libc::SIGABRT,
        libc::SIGPROF,
    ];

    /// Blocks signals on this thread, and so on those it starts.
    fn block() -> Self {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigfillset` initialises `all` before it is used, the other calls get valid signal numbers, and
        // `pthread_sigmask` initialises `before` when it returns 0.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for signal in Self::OWN {
                libc::sigdelset(all.as_mut_ptr(), signal);
            }
            let set = libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            Self((set == 0).then(|| before.assume_init()))
        }
    }
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "there is no safe way to set a thread's signal mask")]
impl Drop for SignalMask {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // SAFETY: `before` is the mask that `pthread_sigmask` gave, and a null pointer asks for no old one.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(unsafe_code, clippy::unwrap_used, reason = "tests ask for the mask, and fail by panicking")]
    use super::*;

    fn blocks(signal: libc::c_int) -> bool {
        let mut mask = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: a null pointer changes nothing, and the old mask is written to `mask`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn the_thread_blocks_signals_and_the_caller_does_not() {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = spawn_quiet("quiet\0".to_owned(), move || {
            tell.send([blocks(libc::SIGTERM), blocks(libc::SIGCHLD), blocks(libc::SIGSEGV)]).unwrap();
        });
        assert_eq!(told.recv().unwrap(), [true, true, false]);
        thread.unwrap().join().unwrap();
        assert!(!blocks(libc::SIGTERM));
    }
}
