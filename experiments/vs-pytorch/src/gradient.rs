//! A backward pass from a given gradient of the output.
//!
//! Burn begins with ones, which it writes by one thread; at an operator's size that takes as long as
//! the operator, while in training the pass begins at a single number.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

/// A number whose gradient is, for its parent, the tensor it was made with.
#[derive(Debug)]
struct Seed;

impl<B: Backend> Backward<B, 1> for Seed {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, ops.state);
        }
    }
}

/// The gradients behind `output`, whose own is `gradient`.
pub fn backward<B: Backend, const D: usize>(
    output: Tensor<Autodiff<B>, D>,
    gradient: Tensor<B, D>,
) -> Gradients {
    let number = Tensor::<B, 1>::zeros([1], &gradient.device());
    let output = output.into_primitive().tensor();
    let number = number.into_primitive().tensor();
    let seeded = match Seed
        .prepare::<NoCheckpointing>([output.node])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => prep.finish(gradient.into_primitive().tensor(), number),
        OpsKind::UnTracked(prep) => prep.finish(number),
    };
    Tensor::<Autodiff<B>, 1>::from_primitive(TensorPrimitive::Float(seeded)).backward()
}
