//! The port's side of a stream for the host's unit tests: pages at addresses that a test chooses, and an
//! account of what is allocated and mapped.
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::not_unsafe_ptr_arg_deref, reason = "the interface's contract is the trait's")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::rc::Rc;

use nt::sys::{MDL, MEMORY_CACHING_TYPE};
use portcls_sys::interfaces::{IPortWaveRTStream, PortWaveRTStream};
use portcls_sys::{Com, ComRef, com_class};

/// What stands in pages that nobody cleared.
const STALE: u64 = 0x5741_5354_4557_4153;

/// One page of memory.
#[derive(Clone)]
#[repr(align(4096))]
struct Page([u64; 512]);

/// One allocation.
pub struct Allocation {
    mdl: Box<MDL>,
    /// Physical addresses.
    pub pages: Vec<u64>,
    memory: Vec<Page>,
    mapped: bool,
}

/// What the port has handed out.
#[derive(Default)]
pub struct Account {
    /// By MDL.
    pub live: BTreeMap<usize, Allocation>,
    /// How many contiguous allocations fail from now on.
    pub refuse_contiguous: u32,
    /// Contiguous pages are handed out with a gap before this page; 0: none.
    pub gap_before: u64,
    /// Hand out this many bytes too few.
    pub short_by: u32,
    /// Mapping fails.
    pub refuse_map: bool,
    next: u64,
}

/// The port stream and the test's view of it. Tests are single-threaded.
pub struct FakePort(Rc<RefCell<Account>>);
// SAFETY: each test uses its own from one thread.
unsafe impl Send for FakePort {}
// SAFETY: as above.
unsafe impl Sync for FakePort {}
com_class! { FakePort { 0 => IPortWaveRTStream } }

impl FakePort {
    /// A port stream and its account.
    pub fn make() -> (ComRef<IPortWaveRTStream>, Rc<RefCell<Account>>) {
        let account = Rc::new(RefCell::new(Account { next: 1, ..Account::default() }));
        (Com::try_new(Self(account.clone())).unwrap().into_interface(), account)
    }

    fn allocate(&self, bytes: usize, stride: u64, gap_before: u64) -> *mut MDL {
        let mut account = self.0.borrow_mut();
        let bytes = u32::try_from(bytes).unwrap() - account.short_by;
        let count = u64::from(bytes).div_ceil(4096);
        let first = account.next;
        account.next += count * stride + 2;
        // SAFETY: numbers and pointers, for which zeroes are good values.
        let mut mdl: Box<MDL> = Box::new(unsafe { std::mem::zeroed() });
        mdl.ByteCount = bytes;
        let raw = &raw mut *mdl;
        let behind_gap = |page| u64::from(gap_before > 0 && page >= gap_before);
        let pages = (0..count).map(|page| (first + page * stride + behind_gap(page)) * 4096).collect();
        // Not zeroed, as a port was seen to do it.
        let memory = vec![Page([STALE; 512]); usize::try_from(count).unwrap()];
        account.live.insert(raw.addr(), Allocation { mdl, pages, memory, mapped: false });
        raw
    }
}

impl PortWaveRTStream for FakePort {
    fn allocate_pages_for_mdl(&self, _highest: i64, bytes: usize) -> *mut MDL {
        self.allocate(bytes, 2, 0)
    }
    fn allocate_contiguous_pages_for_mdl(&self, _lowest: i64, _highest: i64, bytes: usize) -> *mut MDL {
        let refused = self.0.borrow().refuse_contiguous;
        if refused > 0 {
            self.0.borrow_mut().refuse_contiguous -= 1;
            return std::ptr::null_mut();
        }
        let gap_before = self.0.borrow().gap_before;
        self.allocate(bytes, 1, gap_before)
    }
    fn map_allocated_pages(&self, mdl: *mut MDL, cache: MEMORY_CACHING_TYPE) -> *mut c_void {
        assert_eq!(cache, 1, "the cache type that is reported");
        let mut account = self.0.borrow_mut();
        if account.refuse_map {
            return std::ptr::null_mut();
        }
        let allocation = account.live.get_mut(&mdl.addr()).expect("a live MDL");
        assert!(!std::mem::replace(&mut allocation.mapped, true));
        allocation.memory.as_mut_ptr().cast()
    }
    fn unmap_allocated_pages(&self, base: *mut c_void, mdl: *mut MDL) {
        let mut account = self.0.borrow_mut();
        let allocation = account.live.get_mut(&mdl.addr()).expect("a live MDL");
        assert!(
            std::mem::replace(&mut allocation.mapped, false) && base == allocation.memory.as_mut_ptr().cast()
        );
    }
    fn free_pages_from_mdl(&self, mdl: *mut MDL) {
        let allocation = self.0.borrow_mut().live.remove(&mdl.addr()).expect("a live MDL");
        assert!(!allocation.mapped, "unmap before free");
    }
    fn get_physical_pages_count(&self, mdl: *mut MDL) -> u32 {
        u32::try_from(self.0.borrow().live[&mdl.addr()].pages.len()).unwrap()
    }
    fn get_physical_page_address(&self, result: *mut i64, mdl: *mut MDL, index: u32) -> *mut i64 {
        let address = self.0.borrow().live[&mdl.addr()].pages[index as usize];
        // SAFETY: the caller's room.
        unsafe { result.write(address.cast_signed()) };
        result
    }
}

impl Allocation {
    /// What is in its pages, mapped or not.
    pub fn words(&self) -> impl Iterator<Item = u64> {
        self.memory.iter().flat_map(|page| page.0)
    }

    /// Bytes that its MDL describes.
    pub fn bytes(&self) -> u32 {
        self.mdl.ByteCount
    }
}
