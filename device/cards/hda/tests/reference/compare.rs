//! Everything that a guest can see and a listener can hear, against the model.

use super::{DESCRIPTORS, IN_AREA, IN_BYTES, MS, Model, POSITIONS};

/// What a guest looks at. A read of LPIB of an input makes the card store, so that it must not always be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look {
    /// Memory alone: as a driver with a position buffer.
    Memory,
    /// LPIB as well.
    Position,
}

impl Model {
    /// Status bits, some of which come a little later.
    pub(super) fn read_status(&mut self) {
        let now = self.now;
        for index in DESCRIPTORS {
            let status = self.guest.read8(0x83 + 0x20 * index as u64);
            let stream = &mut self.streams[index];
            stream.look(now);
            if let Some(line) = &stream.line {
                let from = now.saturating_sub(2 * line.ring.burst_time()).max(line.begin);
                if self.memory.outage_within(from, now).0 {
                    stream.fifoe.may = Some(now);
                }
            }
            let was = stream.bcis.set;
            stream.bcis.read(status & 4 != 0, now, &format!("BCIS of {index}"));
            stream.fifoe.read(status & 8 != 0, now, &format!("FIFOE of {index}"));
            let expected = u8::from(stream.dese) << 4 | u8::from(stream.run) << 5;
            assert_eq!(status & !0xC, expected, "DESE and FIFORDY of {index}");
            if !was && stream.bcis.set {
                self.check_told(index);
            }
        }
        let status = self.guest.read8(0x5D);
        self.overrun.read(status & 4 != 0, now, "RIRBOIS");
        assert_eq!(status & !4, u8::from(self.rirb_flag), "RIRBSTS");
    }

    /// The position buffer is written before BCIS.
    fn check_told(&self, index: usize) {
        let stream = &self.streams[index];
        let (Some(line), Some(told)) = (&stream.line, stream.first_told) else { return };
        if self.positions_are_written(index) {
            let byte = line.byte(self.now);
            let written = u64::from(self.guest.load32(POSITIONS + 8 * index as u64));
            let behind = (byte + line.ring.bytes - written) % line.ring.bytes;
            assert!(behind <= byte - told, "BCIS of {index} before its position");
        }
    }

    /// Whether the position buffer has been in force for so long that it must have been written.
    fn positions_are_written(&self, index: usize) -> bool {
        let Some(line) = &self.streams[index].line else { return false };
        let since = self.positions_since.max(line.begin).max(self.bus_master_since);
        self.dpl & 1 != 0 && self.bus_master && self.now >= since + 2 * MS && self.inputs_are_whole(index)
    }

    fn inputs_are_whole(&self, index: usize) -> bool {
        self.inputs.get(index).is_none_or(|input| input.lost.is_none())
    }

    /// After each step.
    pub fn compare(&mut self, look: Look) {
        self.compare_controller();
        self.compare_rings();
        for index in DESCRIPTORS {
            self.compare_descriptor(index);
            self.compare_position_buffer(index);
            self.compare_input(index, look);
            if look == Look::Position || self.streams[index].line.is_none() {
                let at = 0x20 * index as u64;
                let expected = self.streams[index].position(self.now);
                assert_eq!(u64::from(self.guest.read32(0x84 + at)), expected, "LPIB of {index}");
                assert_eq!(u64::from(self.guest.read32(0x2084 + at)), expected, "alias of LPIB of {index}");
                self.compare_input(index, look);
            }
        }
        self.listen();
    }

    fn compare_controller(&self) {
        let guest = &self.guest;
        assert_eq!(guest.read::<8>(0), [1, 0x44, 0, 1, 0xFF, 0, 0xFF, 0], "GCAP to INPAY");
        assert_eq!(guest.read32(0x08), u32::from(self.crst) | u32::from(self.unsol) << 8, "GCTL");
        assert_eq!(
            (guest.read16(0x0C), guest.read16(0x0E)),
            (self.wakeen, self.statests),
            "WAKEEN, STATESTS"
        );
        assert_eq!((guest.read16(0x10), guest.read32(0x18)), (self.gsts, 0), "GSTS, OUTSTRMPAY");
        assert_eq!(guest.read32(0x14), 0, "LLCH");
        assert_eq!(guest.read32(0x20), self.intctl, "INTCTL");
        let ticks = if self.crst { u128::from(self.now - self.since) * 24 / 1000 } else { 0 };
        assert_eq!((guest.read32(0x30), guest.read32(0x2030)), (ticks as u32, ticks as u32), "WALCLK");
        assert_eq!((guest.read32(0x34), guest.read32(0x38)), (self.ssync, self.ssync), "SSYNC");
        let (command, response, valid) = self.immediate;
        assert_eq!(guest.read32(0x60), command, "IC");
        if let Some(response) = response {
            assert_eq!(guest.read32(0x64), response, "IR");
        }
        assert_eq!(guest.read16(0x68), u16::from(valid) << 1, "IRS");
        assert_eq!(guest.read::<8>(0x70), u64::from(self.dpl).to_le_bytes(), "DPLBASE");
    }

    fn compare_rings(&self) {
        let guest = &self.guest;
        assert_eq!((guest.read16(0x48), guest.read16(0x4A)), (self.corb_wp, self.corb_wp), "CORBWP, CORBRP");
        assert_eq!(guest.read::<4>(0x4C), [self.corb_ctl, 0, 0x42, 0], "CORBCTL to CORBSIZE");
        assert_eq!(
            (guest.read16(0x58), guest.read16(0x5A)),
            (self.rirb_wp, self.rintcnt.into()),
            "RIRBWP, RINTCNT"
        );
        let status = u8::from(self.rirb_flag) | u8::from(self.overrun.set) << 2;
        assert_eq!(guest.read::<4>(0x5C), [self.rirb_ctl, status, 0x42, 0], "RIRBCTL to RIRBSIZE");
    }

    fn compare_descriptor(&self, index: usize) {
        let (guest, stream) = (&self.guest, &self.streams[index]);
        let base = 0x80 + 0x20 * index as u64;
        let [low, middle, high, _] = guest.read::<4>(base);
        assert_eq!(
            (low, middle, high),
            // TP is always set.
            (stream.enables | u8::from(stream.run) << 1, 0, stream.tag << 4 | 4),
            "SDCTL of {index}"
        );
        assert_eq!(
            (guest.read32(base + 8), guest.read16(base + 0xC), guest.read16(base + 0xE)),
            (stream.cbl, stream.lvi, 4),
            "SDCBL, SDLVI, SDFIFOW of {index}"
        );
        assert_eq!(
            (guest.read16(base + 0x12), guest.read::<8>(base + 0x18)),
            (stream.fmt, stream.bdl.to_le_bytes()),
            "SDFMT, SDBDP of {index}"
        );
        if let Some(fifos) = stream.fifos {
            assert_eq!(guest.read16(base + 0x10), fifos, "SDFIFOS of {index}");
        }
    }

    fn compare_position_buffer(&self, index: usize) {
        let at = POSITIONS + 8 * index as u64;
        assert_eq!(self.guest.load32(at + 4), 0, "reserved word of {index} in the position buffer");
        if !self.positions_are_written(index) {
            return;
        }
        let line = self.streams[index].line.as_ref().unwrap();
        let ring = &line.ring;
        let written = u64::from(self.guest.load32(at));
        assert!(written < ring.bytes, "position buffer of {index}");
        let behind = (line.byte(self.now) + ring.bytes - written) % ring.bytes;
        let most = ring.burst * ring.frame();
        assert!(
            behind <= most,
            "position buffer of {index} is {behind} bytes behind, and not {most} at most"
        );
    }

    /// What an input has stored: all but what belongs to the burst under way, or all.
    fn compare_input(&mut self, index: usize, look: Look) {
        if index >= self.inputs.len() {
            return;
        }
        if self.inputs[index].lost.is_some() {
            return self.take_input(index);
        }
        let area = self.guest.load(IN_AREA[index], IN_BYTES as usize);
        if let Some(line) = self.streams[index].line.clone() {
            let passed = line.passed(self.now);
            self.store_input(index, passed.saturating_sub(line.ring.burst));
            while self.inputs[index].area != area && self.inputs[index].stored < passed {
                let next = self.inputs[index].stored + 1;
                self.store_input(index, next);
            }
            // Silence cannot be told from what lay there before, so nothing may be muted.
            let sound = self.inputs[index].endpoint.is_some() && !self.codec.amplifiers;
            if sound && self.positions_are_written(index) {
                let written = u64::from(self.guest.load32(POSITIONS + 8 * index as u64));
                let stored = line.base + self.inputs[index].stored * line.ring.frame();
                let behind = (line.byte(self.now) + line.ring.bytes - written) % line.ring.bytes;
                assert!(line.byte(self.now) - behind <= stored, "position of {index} before its data");
            }
        }
        let model = &self.inputs[index].area;
        if area != *model {
            let first = (0..).zip(area.iter().zip(model)).find(|(_, (found, model))| found != model);
            panic!("memory of input {index}: {first:?}, looked at by {look:?}");
        }
    }

    /// Takes what an input has stored while something was lost, until all of it was stored again.
    fn take_input(&mut self, index: usize) {
        self.guest.read32(0x84 + 0x20 * index as u64);
        let input = &mut self.inputs[index];
        input.area = self.guest.load(IN_AREA[index], IN_BYTES as usize);
        input.stored = self.streams[index].line.as_ref().map_or(0, |line| line.passed(self.now));
        if let Some(endpoint) = input.endpoint {
            self.captured[endpoint] = self.asked(endpoint);
        }
        let input = &mut self.inputs[index];
        let over =
            input.lost.is_some_and(|lost| self.now >= lost + 3 * MS) || self.streams[index].line.is_none();
        if over {
            input.lost = None;
        }
    }

    /// What was heard since the last time.
    fn listen(&mut self) {
        for (endpoint, format, bytes) in self.guest.heard() {
            let gains = &self.gains[endpoint as usize];
            let endpoint = self.endpoints.get_mut(endpoint as usize);
            endpoint.expect("only outputs are heard").take(&bytes, format, (&self.memory, gains));
        }
        for endpoint in &mut self.endpoints {
            endpoint.check(self.now);
        }
    }
}
