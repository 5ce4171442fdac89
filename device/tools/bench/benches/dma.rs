//! `cargo bench`: what the DMA walk moves, beside memcpy of the same bytes, with criterion's statistics. The walk and its cases are
//! those of `ringwave bench --only dma`.
#![allow(missing_docs, reason = "what criterion's macro makes")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringwave::bench::dma::{CASES, Direction, Memcpy, RING_BYTES, Walk};

fn dma(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dma");
    group.throughput(Throughput::Bytes(RING_BYTES.into()));
    // A pass takes from 5 to 100 us: there are thousands of them in a second.
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let look = |piece: &mut [u8]| {
        black_box(piece);
    };
    for (direction, name) in Direction::BOTH {
        let mut memcpy = Memcpy::best();
        group.bench_function(BenchmarkId::new("memcpy", name), |bencher| {
            bencher.iter(|| memcpy.pass(direction, look));
        });
        for case in CASES {
            let mut walk = Walk::new(*case).expect("guest RAM can be made");
            group.bench_function(BenchmarkId::new(name, case.name), |bencher| {
                bencher.iter(|| walk.pass(direction, look).expect("mapped"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, dma);
criterion_main!(benches);
