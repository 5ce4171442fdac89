//! The events a client waits on, signalled when a packet has left the cyclic buffer. WAVERT.md 4.5.
//!
//! A list of nodes in non-paged memory. It lives under the stream's spin lock together with the state that
//! says whether events may come at all, so that an event is never touched after it was unregistered. Nodes
//! are allocated before the lock is taken and freed after it was given back. PortCls holds a reference to
//! each event until it unregisters it.

use alloc::boxed::Box;

use nt::event::ClientEvent;

/// Most events of one stream. A client registers one; the bound keeps the work under the spin lock bounded.
pub const EVENTS_MAX: usize = 32;

/// One registered event.
pub struct Node {
    event: ClientEvent,
    next: Option<Box<Node>>,
}

impl Node {
    /// A node for `event`, not in a list yet.
    pub const fn new(event: ClientEvent) -> Self {
        Self { event, next: None }
    }
}

/// The registered events.
#[derive(Default)]
pub struct Notifications {
    first: Option<Box<Node>>,
}

impl Notifications {
    /// Puts `node` into the list; gives it back if its event is registered already or the list is full.
    pub fn insert(&mut self, mut node: Box<Node>) -> Result<(), Box<Node>> {
        if self.iter().count() >= EVENTS_MAX || self.iter().any(|event| event == node.event) {
            return Err(node);
        }
        node.next = self.first.take();
        self.first = Some(node);
        Ok(())
    }

    /// Takes `event`'s node out, for the caller to free; `None` if it is not registered.
    pub fn remove(&mut self, event: ClientEvent) -> Option<Box<Node>> {
        let mut link = &mut self.first;
        while link.as_ref().is_some_and(|node| node.event != event) {
            link = &mut link.as_mut()?.next;
        }
        let mut node = link.take()?;
        *link = node.next.take();
        Some(node)
    }

    /// Takes any node out, for the caller to free.
    pub fn pop(&mut self) -> Option<Box<Node>> {
        let mut node = self.first.take()?;
        self.first = node.next.take();
        Some(node)
    }

    /// Every registered event.
    pub fn iter(&self) -> impl Iterator<Item = ClientEvent> {
        let mut next = self.first.as_deref();
        core::iter::from_fn(move || {
            let node = next?;
            next = node.next.as_deref();
            Some(node.event)
        })
    }
}

impl Drop for Notifications {
    /// One node at a time: dropping the chain would recurse.
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses that are compared and never followed.
    fn event(n: usize) -> ClientEvent {
        // SAFETY: never signalled.
        unsafe { ClientEvent::from_raw(core::ptr::without_provenance_mut(n * 32)) }.unwrap()
    }
    fn insert(list: &mut Notifications, n: usize) -> bool {
        list.insert(Box::new(Node::new(event(n)))).is_ok()
    }
    fn events(list: &Notifications) -> Vec<usize> {
        (1..=EVENTS_MAX + 1).filter(|n| list.iter().any(|e| e == event(*n))).collect()
    }

    #[test]
    fn every_registered_event_is_there_once() {
        let mut list = Notifications::default();
        assert!(insert(&mut list, 1) && insert(&mut list, 2) && insert(&mut list, 3));
        assert!(!insert(&mut list, 2), "a duplicate");
        assert_eq!(events(&list), [1, 2, 3]);
    }

    #[test]
    fn an_unregistered_event_is_gone_wherever_it_stood() {
        for gone in [1, 2, 3] {
            let mut list = Notifications::default();
            for n in [1, 2, 3] {
                assert!(insert(&mut list, n));
            }
            assert!(list.remove(event(gone)).is_some());
            assert!(list.remove(event(gone)).is_none());
            assert!(!events(&list).contains(&gone));
            assert_eq!(events(&list).len(), 2);
            assert!(insert(&mut list, gone), "it may come back");
        }
    }

    #[test]
    fn the_list_is_bounded() {
        let mut list = Notifications::default();
        assert!((1..=EVENTS_MAX).all(|n| insert(&mut list, n)));
        assert!(!insert(&mut list, EVENTS_MAX + 1));
        assert_eq!(list.iter().count(), EVENTS_MAX);
    }
}
