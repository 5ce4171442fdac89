//! That the figures are of what they say: all bytes, in the order in which they lie, and the right way up.

use super::*;

/// No two parts of the buffer are alike, whatever their length.
fn pattern() -> Vec<u8> {
    (0..RING_BYTES / 4).flat_map(|word| word.wrapping_mul(0x9E37_79B1).to_le_bytes()).collect()
}

/// The file that has `buffer` in it, as the parts of `case` lie there.
fn laid_out(case: &Case, buffer: &[u8]) -> Vec<u8> {
    let mut file = vec![0; RING_BYTES as usize];
    let part = case.part() as usize;
    for (bytes, offset) in buffer.chunks_exact(part).zip(case.offsets()) {
        file[offset as usize..][..part].copy_from_slice(bytes);
    }
    file
}

fn contents(file: &File) -> Vec<u8> {
    let mut contents = vec![0; RING_BYTES as usize];
    file.read_exact_at(&mut contents, 0).unwrap();
    contents
}

/// Gives a pass block after block of `bytes`.
fn feed(bytes: &[u8]) -> impl FnMut(&mut [u8]) {
    let mut blocks = bytes.chunks_exact(BLOCK_BYTES as usize);
    move |block| block.copy_from_slice(blocks.next().unwrap())
}

#[test]
fn every_walk_moves_the_whole_buffer_and_from_where_its_ceiling_does() {
    let buffer = pattern();
    for case in CASES {
        let file = laid_out(case, &buffer);
        let mut cyclic = CyclicBuffer::new(*case).unwrap();
        cyclic.file.write_all_at(&file, 0).unwrap();
        let mut heard = Vec::new();
        cyclic.pass(Direction::Read, |block| heard.extend_from_slice(block)).unwrap();
        assert!(heard == buffer, "read, {}", case.name);
        cyclic.file.write_all_at(&vec![0; RING_BYTES as usize], 0).unwrap();
        cyclic.pass(Direction::Write, feed(&buffer)).unwrap();
        assert!(contents(&cyclic.file) == file, "write, {}", case.name);

        let mut ceiling = Memcpy::of(case);
        ceiling.pass(Direction::Write, feed(&buffer));
        assert!(ceiling.memory.get() == file, "write, ceiling of {}", case.name);
        heard.clear();
        ceiling.pass(Direction::Read, |block| heard.extend_from_slice(block));
        assert!(heard == buffer, "read, ceiling of {}", case.name);
    }
}

#[test]
fn memcpy_at_its_best_moves_the_whole_buffer_in_order() {
    let (buffer, mut memcpy) = (pattern(), Memcpy::best());
    memcpy.pass(Direction::Write, feed(&buffer));
    assert!(memcpy.memory.get() == buffer);
    let mut blocks = 0;
    memcpy.pass(Direction::Read, |block| {
        assert_eq!(block.len(), BLOCK_BYTES as usize);
        blocks += 1;
    });
    assert_eq!(blocks, RING_BYTES / BLOCK_BYTES);
}

/// A pass that takes `micros` of this thread's time.
fn busy(micros: u64) -> impl FnMut() -> io::Result<()> {
    move || {
        let begin = cpu_time(ClockId::ThreadCPUTime)?;
        let end = begin + Duration::from_micros(micros);
        while cpu_time(ClockId::ThreadCPUTime)? < end {}
        Ok(())
    }
}

fn near(value: f64, wanted: f64) -> bool {
    (value / wanted - 1.0).abs() < 0.1
}

#[test]
fn speed_is_bytes_over_the_time_of_this_thread() {
    let mut busy = busy(250);
    // What is slept is not counted, nor what another thread takes.
    let mut asleep = || {
        std::thread::sleep(Duration::from_millis(1));
        busy()
    };
    let ended = std::sync::atomic::AtomicBool::new(false);
    let speed = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let measured: Vec<f64> = (0..5).map(|_| speed(&mut asleep).unwrap()).collect();
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        Spread::of(measured).greatest
    });
    assert!(speed < f64::from(RING_BYTES) / 250_000.0, "{speed}");
    assert!(speed > 0.7 * f64::from(RING_BYTES) / 250_000.0, "{speed}");
}

#[test]
fn ratios_are_of_the_walk_to_memcpy_and_to_its_ceiling() {
    let row = compare("case".to_owned(), 5, busy(400), busy(200), busy(300)).unwrap();
    let (ratio, ceiling) = (row.ratio.unwrap().median, row.ceiling.unwrap().median);
    assert!(near(ratio, 0.5) && near(ceiling, 0.75), "{ratio} of memcpy, {ceiling} of the ceiling");
    assert!(near(row.value.median, f64::from(RING_BYTES) / 400_000.0), "{:?}", row.value);
}
