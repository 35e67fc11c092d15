//! Every operator of the kernels on the CPU, alone: `cargo bench -p vs-pytorch -- GELU`.

use burn::backend::Flex;
use criterion::{Criterion, criterion_group, criterion_main};
use vs_pytorch::operators;

fn every_operator(criterion: &mut Criterion) {
    for case in operators::all::<Flex>(&Default::default()) {
        // Made only if the filter wants it.
        let mut run = None;
        criterion.bench_function(&case.name, |bencher| {
            let run = run.get_or_insert_with(|| (case.build)().expect("random inputs"));
            bencher.iter(|| run().expect("an operator of right shapes"));
        });
    }
}

criterion_group!(benches, every_operator);
criterion_main!(benches);
