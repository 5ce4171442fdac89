//! `cargo bench`: what the DMA walk moves, beside memcpy of the same bytes, with criterion's statistics. The
//! walk and its cases are those of `ringwave bench --only dma`.
#![allow(missing_docs, reason = "what criterion's macro makes")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringwave_bench::dma::{CASES, CyclicBuffer, Direction, Memcpy, RING_BYTES};

fn dma(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dma");
    group.throughput(Throughput::Bytes(RING_BYTES.into()));
    // A pass takes from 5 to 100 us: there are thousands of them in a second.
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let observe = |block: &mut [u8]| {
        black_box(block);
    };
    for (direction, name) in Direction::BOTH {
        let mut memcpy = Memcpy::best();
        group.bench_function(BenchmarkId::new("memcpy", name), |bencher| {
            bencher.iter(|| memcpy.pass(direction, observe));
        });
        for case in CASES {
            let mut buffer = CyclicBuffer::new(*case).expect("guest RAM can be made");
            group.bench_function(BenchmarkId::new(name, case.name), |bencher| {
                bencher.iter(|| buffer.pass(direction, observe).expect("mapped"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, dma);
criterion_main!(benches);
