//! A volume or a mute node: its ranges, GET and SET on every channel, and every way to ask wrongly (rules
//! `volume`, `mute`).

use crate::client::property_protocol::{self, instance, word};
use crate::kernel;
use crate::portcls::controls_layout::{ALL_CHANNELS, property, verb};
use crate::portcls::fault::{self, Fault};
use crate::portcls::guid::{KSPROPSETID_AUDIO, KSPROPTYPESETID_GENERAL};
use crate::portcls::object::Object;
use crate::portcls::property::Property;
use crate::portcls::status::Status;
use alloc::vec::Vec;
use core::fmt;

/// What the card can do at least: -96 dB to 0 (its datasheet, section 4).
const SOFTEST: i32 = -96 * 65536;
/// Most channels of the card.
const MOST_CHANNELS: u32 = 8;
/// Members header: stepped ranges, one element of 16 bytes.
const STEPPED_RANGES: u32 = 2;
const STEP_BYTES: usize = 16;
/// `KSPROPERTY_MEMBER_FLAG_BASICSUPPORT_MULTICHANNEL` and `_UNIFORM`
const MULTICHANNEL: u32 = 2;
const UNIFORM: u32 = 4;
/// `VT_I4` and `VT_BOOL`
const TYPES: [u32; 2] = [3, 11];

/// Which control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// LONG, 1/65536 dB.
    Volume,
    /// BOOL.
    Mute,
}

/// A control of an endpoint.
#[derive(Clone, Copy)]
pub struct Level {
    /// The topology port.
    pub port: &'static Object,
    /// Its node.
    pub node: u32,
    /// Which control.
    pub kind: Kind,
}

/// What it can be set to.
#[derive(Clone, Copy)]
struct Range {
    least: i32,
    most: i32,
    step: i32,
    channels: u32,
    uniform: bool,
}

impl Level {
    fn rule(&self) -> &'static str {
        if self.kind == Kind::Volume { "volume" } else { "mute" }
    }

    fn wrong(&self, what: fmt::Arguments<'_>) {
        kernel::violation(self.rule(), format_args!("node {}: {what}", self.node));
    }

    fn property<'a>(&self, instance: &'a [u8]) -> Property<'a> {
        let id = if self.kind == Kind::Volume { property::VOLUME_LEVEL } else { property::MUTE };
        Property { port: self.port, node: Some(self.node), set: KSPROPSETID_AUDIO, id, instance }
    }

    /// The value of a channel.
    pub fn get(&self, channel: u32) -> Result<i32, Status> {
        let reply = property_protocol::get(&self.property(&instance(channel)), 4);
        let value = reply.bytes().map(|bytes| word(bytes, 0).cast_signed()).ok_or(reply.status)?;
        Ok(match self.kind {
            Kind::Volume if fault::make(Fault::VolumeDrift) => value.wrapping_sub(256),
            Kind::Volume => value,
            Kind::Mute => i32::from((value != 0) != fault::make(Fault::MuteTurned)),
        })
    }

    /// Sets a channel, or all.
    pub fn set(&self, channel: u32, value: i32) -> Status {
        property_protocol::set(&self.property(&instance(channel)), &value.to_le_bytes())
    }

    /// Asks everything; `hint` channels when the control itself does not say. How many it has.
    pub fn check(&self, hint: u32) -> u32 {
        let Some(range) = self.range(hint) else { return hint };
        let before: Vec<i32> = self.values(&range);
        if before.len() != range.channels as usize {
            return range.channels;
        }
        self.send_wrong_values(&range, &before);
        self.set_each(&range);
        self.set_all(&range);
        self.strange_values(&range);
        for (channel, value) in (0u32..).zip(&before) {
            self.expect(channel, *value, "put back");
        }
        range.channels
    }

    /// BASICSUPPORT, with and without a channel in the instance.
    fn range(&self, hint: u32) -> Option<Range> {
        let support = property_protocol::basic_support(&self.property(&instance(0)))?;
        let bare = property_protocol::basic_support(&self.property(&[]))?;
        if bare.members != support.members || bare.access != support.access {
            self.wrong(format_args!("BASICSUPPORT without a channel says something else"));
        }
        let kind = TYPES[usize::from(self.kind == Kind::Mute)];
        if support.kind != (KSPROPTYPESETID_GENERAL.bytes().to_vec(), kind) {
            self.wrong(format_args!("BASICSUPPORT: the type is {:?}, {kind} is due", support.kind.1));
        }
        let members = &support.members;
        if members.is_empty() && self.kind == Kind::Mute {
            // A BOOL needs no range.
            return Some(Range { least: 0, most: 1, step: 1, channels: hint, uniform: false });
        }
        let [flags, size, count, more] = [0, 4, 8, 12].map(|at| word(members, at));
        let bytes = 16 + STEP_BYTES * count as usize;
        if flags != STEPPED_RANGES
            || size as usize != STEP_BYTES
            || !(1..=MOST_CHANNELS).contains(&count)
            || members.len() != bytes
            || more & !(1 | MULTICHANNEL | UNIFORM) != 0
            || (count > 1 && more & MULTICHANNEL == 0)
        {
            self.wrong(format_args!(
                "BASICSUPPORT: {count} member(s) of {size} bytes, MembersFlags {flags:#x}, Flags {more:#x}, {} bytes",
                members.len()
            ));
            return None;
        }
        let ranges = members[16..].chunks_exact(STEP_BYTES);
        let mut ranges = ranges.map(|range| [0, 4, 8, 12].map(|at| word(range, at)));
        let first = ranges.next()?;
        if ranges.any(|range| range != first) {
            self.wrong(format_args!("BASICSUPPORT: channels of one card have different ranges"));
        }
        let [step, reserved, least, most] = first;
        let (step, least, most) = (step.cast_signed(), least.cast_signed(), most.cast_signed());
        let limits = if self.kind == Kind::Volume { (SOFTEST, 0) } else { (0, 1) };
        let fits = least >= limits.0 && most <= limits.1 && least < most && step > 0 && reserved == 0;
        if !fits || (i64::from(most) - i64::from(least)) % i64::from(step.max(1)) != 0 {
            self.wrong(format_args!("BASICSUPPORT: from {least} to {most} in steps of {step}"));
            return None;
        }
        Some(Range { least, most, step, channels: count, uniform: more & UNIFORM != 0 })
    }

    /// Every channel's value, asked for in every size.
    fn values(&self, range: &Range) -> Vec<i32> {
        let mut values = Vec::new();
        for channel in 0..range.channels {
            let Some(bytes) = property_protocol::get_every_size(&self.property(&instance(channel)), 4) else {
                break;
            };
            let raw = word(&bytes, 0).cast_signed();
            let value = if self.kind == Kind::Mute { i32::from(raw != 0) } else { raw };
            if self.kind == Kind::Volume && !(range.least..=range.most).contains(&value) {
                self.wrong(format_args!("channel {channel} is at {value}, outside its range"));
            }
            values.push(value);
        }
        values
    }

    /// Channels that are not there, instances that are too short, verbs that nobody knows: refused, and
    /// nothing changes.
    fn send_wrong_values(&self, range: &Range, before: &[i32]) {
        let count = range.channels;
        for channel in [count, count + 1, 31, 32, 255, 256, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe] {
            let asked = if fault::make(Fault::AnyChannel) { 0 } else { channel };
            for (what, status) in [
                ("GET", self.get(asked).err().unwrap_or(Status::SUCCESS)),
                ("SET", self.set(asked, range.least)),
            ] {
                if status != Status::INVALID_PARAMETER {
                    self.wrong(format_args!(
                        "{what} of channel {channel:#x} of {count}: {status}, INVALID_PARAMETER is due"
                    ));
                }
            }
        }
        match self.get(ALL_CHANNELS) {
            Ok(value) if self.kind == Kind::Mute || before.contains(&value) => {}
            Ok(value) => self.wrong(format_args!("GET of all channels: {value}, which no channel has")),
            Err(Status::INVALID_PARAMETER) => {}
            Err(status) => self.wrong(format_args!("GET of all channels: {status}")),
        }
        for bytes in 0..4 {
            for (what, verb) in [("GET", verb::GET), ("SET", verb::SET)] {
                let reply = self.property(&[0; 4][..bytes]).call(verb, &range.least.to_le_bytes());
                if reply.status.is_success() {
                    self.wrong(format_args!("{what} with {bytes} bytes of a channel is accepted"));
                }
            }
        }
        property_protocol::refuse_verbs(&self.property(&instance(0)));
        self.expect_all(before, "after what must be refused");
    }

    fn expect_all(&self, values: &[i32], when: &str) {
        for (channel, due) in (0u32..).zip(values) {
            let now = self.get(channel);
            if now != Ok(*due) {
                self.wrong(format_args!("{when}: channel {channel} is {now:?}, {due} is due"));
            }
        }
    }

    /// SET and GET of one channel.
    fn expect(&self, channel: u32, value: i32, when: &str) {
        let status = self.set(channel, value);
        let now = self.get(channel);
        if !status.is_success() || now != Ok(value) {
            self.wrong(format_args!(
                "{when}: channel {channel} was set to {value} ({status}) and is {now:?}"
            ));
        }
    }

    /// Values of the range that every driver must take.
    fn proper(range: &Range) -> [i32; 4] {
        let steps = (range.most - range.least) / range.step;
        let at = |step: i32| range.least + step * range.step;
        [range.least, at(steps / 2), at(1), range.most]
    }

    fn set_each(&self, range: &Range) {
        property_protocol::set_every_size(&self.property(&instance(0)), &range.most.to_le_bytes());
        let proper = Self::proper(range);
        let mut values: Vec<i32> = (0..range.channels).map(|_| range.most).collect();
        self.set(ALL_CHANNELS, range.most);
        for turn in 0..proper.len() {
            for channel in 0..range.channels as usize {
                // Another value for each channel, so that one that goes to a neighbour is seen.
                let value = proper[(turn + channel) % proper.len()];
                self.expect(u32::try_from(channel).unwrap_or(0), value, "each by itself");
                if range.uniform {
                    values.fill(value);
                } else if let Some(slot) = values.get_mut(channel) {
                    *slot = value;
                }
                self.expect_all(&values, "each by itself");
            }
        }
    }

    fn set_all(&self, range: &Range) {
        for value in Self::proper(range) {
            let status = self.set(ALL_CHANNELS, value);
            if !status.is_success() {
                self.wrong(format_args!("SET of all channels to {value}: {status}"));
                return;
            }
            let due: Vec<i32> = (0..range.channels).map(|_| value).collect();
            self.expect_all(&due, "all at once");
        }
    }

    /// Between two steps a value may be rounded; outside the range it is refused or held at the end of the
    /// range.
    fn strange_values(&self, range: &Range) {
        if self.kind == Kind::Mute {
            // Every BOOL but 0 is TRUE.
            for value in [2, -1, 256] {
                let status = self.set(0, value);
                let now = self.get(0);
                if !status.is_success() || now != Ok(1) {
                    self.wrong(format_args!("SET to {value}: {status}, and GET says {now:?}"));
                }
            }
            return;
        }
        let start = range.least + range.step;
        for value in [start + 1, start - 1, range.most - 1, range.least + 1] {
            self.set(0, start);
            let (status, now) = (self.set(0, value), self.get(0));
            let due = if status.is_success() { value } else { start };
            let close = now.is_ok_and(|now| (i64::from(now) - i64::from(due)).abs() < i64::from(range.step));
            if !close || now.is_ok_and(|now| !(range.least..=range.most).contains(&now)) {
                self.wrong(format_args!("SET to {value}, between two steps: {status}, and GET says {now:?}"));
            }
        }
        for value in [range.most + 1, range.least - 1, i32::MAX, i32::MIN] {
            self.set(0, start);
            let (status, now) = (self.set(0, value), self.get(0));
            let due = if status.is_success() { value.clamp(range.least, range.most) } else { start };
            if now != Ok(due) {
                self.wrong(format_args!("SET to {value}, outside: {status}, and GET says {now:?}"));
            }
        }
    }
}
