//! Where the doctor leaves requests, and loops the pictures that were asked for.
//!
//! A loop looks at one number on its way to the system. A loop that sleeps is woken through a copy of its waker's descriptor: a copy stays
//! valid when the loop is closed, and then wakes nobody.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Picture;

/// Pictures that are kept for a doctor who does not come.
const KEPT: usize = 256;

/// What the doctor wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The loops that are asked, by their numbers.
    pub loops: Vec<u8>,
    /// The tasks that are to be looked at, by their addresses, with the numbers of their loops.
    pub tasks: HashMap<u64, u8>,
    /// Whether objects that frames refer to are looked into for queues.
    pub is_deep: bool,
    /// Whether it is to be told who puts things into queues, for a moment.
    pub learns_puts: bool,
    /// The loop that reads the statistics of the patterns' objects, if somebody wants to see them.
    pub reader: Option<u8>,
}

/// Where requests and pictures lie.
#[derive(Default)]
pub struct Exchange {
    number: AtomicU64,
    request: Mutex<Arc<Request>>,
    bells: Mutex<Vec<(u8, File)>>,
    pictures: Mutex<Vec<Picture>>,
}

impl Exchange {
    /// Nobody has asked anything.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Asks; what was asked before and not answered is forgotten.
    pub fn ask(&self, request: Request) {
        let loops = request.loops.clone();
        *lock(&self.request) = Arc::new(request);
        self.number.fetch_add(1, Ordering::Release);
        for (number, bell) in &mut *lock(&self.bells) {
            if loops.contains(number) {
                // It is full if it was rung before, and then the loop wakes all the same.
                let _ = bell.write(&1_u64.to_ne_bytes());
            }
        }
    }

    /// The pictures that have come.
    pub fn take(&self) -> Vec<Picture> {
        std::mem::take(&mut lock(&self.pictures))
    }

    /// The number of the last request.
    #[inline]
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The last request.
    pub fn request(&self) -> Arc<Request> {
        Arc::clone(&lock(&self.request))
    }

    /// Hands a picture over.
    pub fn answer(&self, picture: Picture) {
        let mut pictures = lock(&self.pictures);
        if pictures.len() >= KEPT {
            pictures.remove(0);
        }
        pictures.push(picture);
    }

    /// A loop can be woken by eight bytes on this descriptor.
    pub fn connect(&self, number: u8, bell: OwnedFd) {
        let mut bells = lock(&self.bells);
        bells.retain(|(known, _)| *known != number);
        bells.push((number, bell.into()));
    }

    /// A loop is closed.
    pub fn disconnect(&self, number: u8) {
        lock(&self.bells).retain(|(known, _)| *known != number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn loops_that_are_asked_are_woken_and_others_are_not() {
        let exchange = Exchange::new();
        let mut ends = Vec::new();
        for number in 1..=2 {
            let (reader, writer) = std::io::pipe().unwrap_or_else(|error| panic!("no pipe: {error}"));
            exchange.connect(number, writer.into());
            ends.push(reader);
        }
        exchange.ask(Request { loops: vec![2], ..Request::default() });
        exchange.disconnect(1);
        exchange.disconnect(2);
        let mut woken = ends.into_iter().map(|mut end| end.read(&mut [0; 16]).unwrap_or(0));
        assert_eq!((woken.next(), woken.next()), (Some(0), Some(8)));
        assert_eq!(exchange.number(), 1);
        assert_eq!(exchange.request().loops, [2]);
    }

    #[test]
    fn pictures_that_nobody_takes_do_not_pile_up() {
        let exchange = Exchange::new();
        (0..1_000).for_each(|began| exchange.answer(Picture { began, ..Picture::default() }));
        let taken = exchange.take();
        assert_eq!((taken.len(), taken[0].began), (KEPT, 1_000 - KEPT as u64));
        assert_eq!(exchange.take(), []);
    }
}
