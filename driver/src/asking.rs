//! For tests of properties: a request as PortCls makes it.
use nt::NTSTATUS;
use portcls_sys::pc::{PCAUTOMATION_TABLE, PCPROPERTY_REQUEST};
use portcls_sys::{ComRef, IUnknown};

/// Asks for property `index` of a filter's table: status, size and value afterwards.
///
/// # Panics
/// The table has no such property.
#[allow(clippy::cast_possible_truncation, reason = "a test's sizes")]
pub fn ask(
    target: &ComRef<IUnknown>,
    table: PCAUTOMATION_TABLE,
    (index, verb): (usize, u32),
    instance: &[u8],
    value: &[u8],
) -> (NTSTATUS, u32, Vec<u8>) {
    assert!(index < table.PropertyCount as usize);
    let (mut instance, mut value) = (instance.to_vec(), value.to_vec());
    // SAFETY: numbers and pointers, for which zero is a value.
    let mut request: PCPROPERTY_REQUEST = unsafe { core::mem::zeroed() };
    request.MajorTarget = target.as_raw();
    request.Verb = verb;
    (request.Instance, request.InstanceSize) = (instance.as_mut_ptr().cast(), instance.len() as u32);
    (request.Value, request.ValueSize) = (value.as_mut_ptr().cast(), value.len() as u32);
    // SAFETY: the table that PortCls is given, and a request as long as it says.
    let status = unsafe { (*table.Properties.add(index)).Handler.unwrap()(&raw mut request) };
    (status, request.ValueSize, value)
}
