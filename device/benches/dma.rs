//! `cargo bench`: what the DMA walk moves, beside memcpy of the same bytes, with criterion's statistics. The walk and its cases are
//! those of `ringwave bench --only dma`.
#![allow(missing_docs, reason = "what criterion's macro makes")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringwave::bench::dma::{CASES, Memcpy, RING_BYTES, Walk};

fn dma(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dma");
    group.throughput(Throughput::Bytes(RING_BYTES.into()));
    let mut memcpy = Memcpy::new();
    group.bench_function("memcpy", |bencher| bencher.iter(|| black_box(&mut memcpy).pass()));
    for case in CASES {
        let mut walk = Walk::new(*case).expect("guest RAM can be made");
        group.bench_function(BenchmarkId::new("read", case.name), |bencher| {
            bencher.iter(|| walk.read().expect("mapped"));
        });
        group.bench_function(BenchmarkId::new("write", case.name), |bencher| {
            bencher.iter(|| walk.write().expect("mapped"));
        });
    }
    group.finish();
}

criterion_group!(benches, dma);
criterion_main!(benches);
