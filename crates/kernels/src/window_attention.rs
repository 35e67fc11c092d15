//! Attention inside shifted windows, from a map to a map.

use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use crate::KernelBackend;
use crate::pad::pad;
use crate::primitive::{float, tensor};
use crate::window::Windows;

/// The value added before the softmax to pairs of positions in different regions, as in the published code.
pub(crate) const MASKED: f32 = -100.0;

/// Multi-head self-attention inside shifted windows with relative position bias (Swin, equation 4),
/// `softmax(q k^T / sqrt(d) + bias + mask) v`.
///
/// The map is rolled, partitioned, merged and cropped in the same pass: on Flex neither the windows nor the
/// scores of more than one head are ever stored. Under autodiff only `qkv` and the table are kept; the backward
/// pass recomputes the scores.
///
/// # Shapes
///
/// - `qkv`: `[batch, height, width, 3 * channels]`, for the padded map ([`Windows::padded`]); queries, keys and
///   values side by side, each head after head
/// - `table`: `[(2 * side - 1)^2, heads]`, the bias of every relative offset
/// - output: `[batch, height, width, channels]`, without padding
///
/// # Panics
///
/// If `qkv` does not have the padded size.
pub fn window_attention<B: KernelBackend>(
    qkv: Tensor<B, 4>,
    table: Tensor<B, 2>,
    windows: Windows,
) -> Tensor<B, 4> {
    let [_, height, width, _] = qkv.dims();
    assert_eq!([height, width], windows.padded(), "the map is padded");
    tensor(B::window_attention(float(qkv), float(table), windows))
}

/// [`window_attention`] in plain Burn.
pub fn window_attention_reference<B: KernelBackend>(
    qkv: Tensor<B, 4>,
    table: Tensor<B, 2>,
    windows: Windows,
) -> Tensor<B, 4> {
    let parts = Parts::new(qkv, table, windows);
    let mixed = parts.probabilities().matmul(parts.value.clone());
    parts.join(mixed)
}

pub(crate) fn forward<B: KernelBackend>(
    qkv: FloatTensor<B>,
    table: FloatTensor<B>,
    windows: Windows,
) -> FloatTensor<B> {
    let (qkv, table) = (tensor::<B, 4>(qkv), tensor::<B, 2>(table));
    float(window_attention_reference(qkv, table, windows))
}

/// Gradients of `qkv` and, if requested, of the table.
pub(crate) fn backward<B: KernelBackend>(
    qkv: FloatTensor<B>,
    table: FloatTensor<B>,
    grad: FloatTensor<B>,
    windows: Windows,
    is_table_wanted: bool,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    let parts = Parts::<B>::new(tensor(qkv), tensor(table), windows);
    let grad = parts.cut(tensor(grad));
    let probabilities = parts.probabilities();

    let grad_value = probabilities.clone().swap_dims(2, 3).matmul(grad.clone());
    let inner = probabilities.clone() * grad.matmul(parts.value.clone().swap_dims(2, 3));
    let grad_scores = inner.clone() - probabilities * inner.sum_dim(3);
    let grad_query = grad_scores.clone().matmul(parts.key.clone()) * parts.scale;
    let scaled = parts.query.clone() * parts.scale;
    let grad_key = grad_scores.clone().swap_dims(2, 3).matmul(scaled);

    let [batch, heads, area] = [parts.batch, parts.heads, windows.area()];
    let count = batch * windows.count();
    let grad_table = is_table_wanted.then(|| {
        let pairs = area * area;
        let sums = grad_scores
            .reshape([count, heads * pairs])
            .sum_dim(0)
            .reshape([heads, pairs]);
        let offsets = (2 * windows.side - 1) * (2 * windows.side - 1);
        let zeros = Tensor::zeros([offsets, heads], &sums.device());
        let index = indices(windows.offsets(), &sums.device());
        let add = IndexingUpdateOp::Add;
        float(zeros.select_assign(0, index, sums.transpose(), add))
    });
    // [count, heads, area, head] thrice, to [batch, positions, 3 * channels].
    let rows: Tensor<B, 5> = Tensor::stack(vec![grad_query, grad_key, grad_value], 1);
    let rows = rows.permute([0, 3, 1, 2, 4]);
    let channels = 3 * parts.channels;
    let rows = rows.reshape([batch, windows.count() * area, channels]);
    let [height, width] = windows.padded();
    let map = parts
        .reverse(rows)
        .reshape([batch, height, width, channels]);
    (float(map), grad_table)
}

/// Queries, keys and values by window and head, `[batch * windows, heads, area, head]`, and the data to merge
/// the windows again.
pub(crate) struct Parts<B: Backend> {
    pub(crate) query: Tensor<B, 4>,
    pub(crate) key: Tensor<B, 4>,
    pub(crate) value: Tensor<B, 4>,
    /// `[heads, area, area]`
    bias: Tensor<B, 3>,
    pub(crate) scale: f64,
    batch: usize,
    channels: usize,
    pub(crate) heads: usize,
    windows: Windows,
    sources: Vec<usize>,
}

impl<B: Backend> Parts<B> {
    pub(crate) fn new(qkv: Tensor<B, 4>, table: Tensor<B, 2>, windows: Windows) -> Self {
        let [batch, height, width, triple] = qkv.dims();
        let heads = table.dims()[1];
        let channels = triple / 3;
        let (area, head) = (windows.area(), channels / heads);
        let device = qkv.device();
        let sources = windows.sources();
        let rows = qkv
            .reshape([batch, height * width, triple])
            .select(1, indices(sources.clone(), &device));
        let count = batch * windows.count();
        let part = |index: usize| {
            rows.clone()
                .reshape([count, area, 3, heads, head])
                .slice([0..count, 0..area, index..index + 1, 0..heads, 0..head])
                .reshape([count, area, heads, head])
                .swap_dims(1, 2)
        };
        let bias = table
            .select(0, indices(windows.offsets(), &device))
            .transpose()
            .reshape([heads, area, area]);
        Self {
            query: part(0),
            key: part(1),
            value: part(2),
            bias,
            scale: (head as f64).powf(-0.5),
            batch,
            channels,
            heads,
            windows,
            sources,
        }
    }

    /// `[batch * windows, heads, area, area]`
    fn probabilities(&self) -> Tensor<B, 4> {
        softmax(self.scores(), 3)
    }

    /// The scores with bias and mask, `[batch * windows, heads, area, area]`.
    pub(crate) fn scores(&self) -> Tensor<B, 4> {
        let query = self.query.clone() * self.scale;
        let scores = query.matmul(self.key.clone().swap_dims(2, 3));
        let shape = scores.shape();
        // Bias and mask are added as one row shared by all images: the broadcast that is fast
        // everywhere.
        let bias = self.bias.clone().unsqueeze::<4>();
        let addend = match self.mask() {
            Some(mask) => {
                bias.repeat_dim(0, self.windows.count())
                    + mask.unsqueeze_dim::<4>(1).repeat_dim(1, self.heads)
            }
            None => bias,
        };
        let period = addend.shape().num_elements();
        let rows = scores.reshape([shape.num_elements() / period, period]);
        (rows + addend.reshape([1, period])).reshape(shape)
    }

    /// `[windows, area, area]`
    fn mask(&self) -> Option<Tensor<B, 3>> {
        let regions = self.windows.regions();
        if regions.is_empty() {
            return None;
        }
        let (count, area) = (self.windows.count(), self.windows.area());
        let values: Vec<f32> = regions.into_iter().map(f32::from).collect();
        let data = TensorData::new(values, [count, area, 1]);
        let regions = Tensor::<B, 3>::from_data(data, &self.bias.device());
        let queries = regions.clone().repeat_dim(2, area);
        let keys = regions.swap_dims(1, 2).repeat_dim(1, area);
        Some(queries.not_equal(keys).float().cast(self.bias.dtype()) * MASKED)
    }

    /// Merges `[batch * windows, heads, area, head]` into a map without padding.
    pub(crate) fn join(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let positions = self.windows.count() * self.windows.area();
        let rows = x
            .swap_dims(1, 2)
            .reshape([self.batch, positions, self.channels]);
        let [height, width] = self.windows.padded();
        let map = self
            .reverse(rows)
            .reshape([self.batch, height, width, self.channels]);
        let [rows, columns] = self.windows.size;
        if [rows, columns] == [height, width] {
            return map;
        }
        map.slice([0..self.batch, 0..rows, 0..columns, 0..self.channels])
    }

    /// The reverse of [`join`](Self::join) for its gradient.
    fn cut(&self, grad: Tensor<B, 4>) -> Tensor<B, 4> {
        let [height, width] = self.windows.padded();
        let [rows, columns] = self.windows.size;
        let missing = [(0, 0), (0, height - rows), (0, width - columns), (0, 0)];
        let grad = pad(grad, missing);
        let head = self.channels / self.heads;
        grad.reshape([self.batch, height * width, self.channels])
            .select(1, indices(self.sources.clone(), &self.bias.device()))
            .reshape([
                self.batch * self.windows.count(),
                self.windows.area(),
                self.heads,
                head,
            ])
            .swap_dims(1, 2)
    }

    /// Reorders rows from window order to map order.
    fn reverse(&self, rows: Tensor<B, 3>) -> Tensor<B, 3> {
        let mut places = vec![0; self.sources.len()];
        for (place, &source) in self.sources.iter().enumerate() {
            places[source] = place;
        }
        rows.select(1, indices(places, &self.bias.device()))
    }
}

fn indices<B: Backend>(values: Vec<usize>, device: &B::Device) -> Tensor<B, 1, Int> {
    let length = values.len();
    let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
    Tensor::from_data(TensorData::new(values, [length]), device)
}
