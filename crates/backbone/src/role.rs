//! The roles of parameters.
//!
//! The role decides which parameters a method trains, a count groups and a checkpoint holds. It follows from
//! the types that contain a parameter, of which there are few, and not from the names in its path, which every
//! module chooses freely.

use std::ops::Range;

use crate::parameters::ParameterPath;

/// The owner and the kind of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// The part of the model that it belongs to.
    pub owner: Owner,
    /// Its kind in its layer.
    pub kind: Kind,
}

/// The part of the model that a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A block of the backbone, or a layer before the first block.
    Backbone,
    /// A transition of the backbone from one section to the next.
    Transition,
    /// A layer of the backbone after the last stage. No feature passes it, so it is never trained.
    AfterStages,
    /// The norm between a stage of the backbone and the neck.
    OutputNorm {
        /// The stage, counted from the finest.
        stage: usize,
    },
    /// A module that a method adds, or a head.
    Added,
}

impl Owner {
    /// Whether it is a part of the backbone.
    pub fn is_backbone(self) -> bool {
        matches!(self, Self::Backbone | Self::Transition | Self::AfterStages)
    }
}

/// The kind of a parameter in its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The scale of a norm.
    NormScale,
    /// The shift of a norm.
    NormShift,
    /// A running mean or variance of a batch norm, which training changes without a gradient.
    Statistic,
    /// The bias of a linear layer or a convolution.
    Bias,
    /// A relative position bias table.
    PositionBias,
    /// A learnt position, or a token that is no patch.
    Embedding,
    /// The scale of a branch (LayerScale).
    BranchScale,
    /// Everything else: weights, factors, the embeddings of a method.
    Weight,
}

impl Kind {
    /// Whether it is the scale or the shift of a norm.
    pub fn is_norm(self) -> bool {
        matches!(self, Self::NormScale | Self::NormShift)
    }
}

/// Names of a batch norm's statistics.
const STATISTICS: [&str; 2] = ["running_mean", "running_var"];

/// Kinds by layer type and field; all other parameters are a [`Kind::Weight`].
const LAYERS: [(&str, &str, Kind); 22] = [
    ("LayerNorm", "gamma", Kind::NormScale),
    ("LayerNorm", "beta", Kind::NormShift),
    ("ClosingNorm", "gamma", Kind::NormScale),
    ("ClosingNorm", "beta", Kind::NormShift),
    ("BatchNorm", "gamma", Kind::NormScale),
    ("BatchNorm", "beta", Kind::NormShift),
    ("BatchNorm", STATISTICS[0], Kind::Statistic),
    ("BatchNorm", STATISTICS[1], Kind::Statistic),
    ("TrainedStatistics", STATISTICS[0], Kind::Statistic),
    ("TrainedStatistics", STATISTICS[1], Kind::Statistic),
    ("Linear", "bias", Kind::Bias),
    ("Conv2d", "bias", Kind::Bias),
    ("Convolution", "bias", Kind::Bias),
    ("Pointwise", "bias", Kind::Bias),
    ("Layer", "bias", Kind::Bias),
    ("Enlarging", "bias", Kind::Bias),
    ("UnitConvolution", "bias", Kind::Bias),
    (
        "WindowAttention",
        "relative_position_bias_table",
        Kind::PositionBias,
    ),
    ("Vit", "cls_token", Kind::Embedding),
    ("Vit", "reg_token", Kind::Embedding),
    ("Vit", "pos_embed", Kind::Embedding),
    ("LayerScale", "gamma", Kind::BranchScale),
];

/// Types of the transitions between sections.
const TRANSITIONS: [&str; 2] = ["PatchMerging", "Downsample"];

impl Role {
    /// Returns the role of the parameter at a path.
    pub fn of(path: &ParameterPath) -> Self {
        let kind = path.types().next_back().and_then(|(layer, names)| {
            let mut lines = LAYERS.iter();
            lines.find(|(of, field, _)| *of == layer && names == [*field])
        });
        Self {
            owner: owner(path),
            kind: kind.map_or(Kind::Weight, |(_, _, kind)| *kind),
        }
    }
}

impl ParameterPath {
    /// Returns the role of the parameter.
    pub fn role(&self) -> Role {
        Role::of(self)
    }
}

fn owner(path: &ParameterPath) -> Owner {
    let mut owner = Owner::Added;
    for (holder, names) in path.types() {
        match holder {
            "OutputNorms" => {
                let stage = names.get(1).and_then(|stage| stage.parse().ok());
                owner = stage.map_or(owner, |stage| Owner::OutputNorm { stage });
            }
            "AnyBackbone" | "OwnBackbone" => owner = Owner::Backbone,
            "ClosingNorm" => owner = Owner::AfterStages,
            _ if TRANSITIONS.contains(&holder) => owner = Owner::Transition,
            _ => {}
        }
    }
    owner
}

/// Whether the name of a saved tensor is that of a batch norm statistic. For a parameter in a module use its
/// [`Kind`].
pub fn is_statistic(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    STATISTICS.contains(&last)
}

/// Fields of methods and heads that hold one module per task.
const TASKS: [&str; 2] = ["tasks", "decoders"];

/// Returns the range of the task index in the name of a parameter, such as `tasks.2` or `decoders.2`, and the
/// index; `None` for parameters that the tasks share.
pub fn task_of(name: &str) -> Option<(Range<usize>, usize)> {
    let mut start = 0;
    let mut before = "";
    for part in name.split('.') {
        if let (true, Ok(index)) = (TASKS.contains(&before), part.parse()) {
            return Some((start..start + part.len(), index));
        }
        before = part;
        start += part.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(steps: &[(&str, &str)]) -> Role {
        let mut path = ParameterPath::default();
        for (name, container) in steps {
            path.enter(name, container);
        }
        path.role()
    }

    #[test]
    fn a_role_is_told_by_types_and_not_by_names() {
        let backbone = ("Swin", "Enum:AnyBackbone");
        let norm = role(&[
            backbone,
            ("anything", "Struct:Block"),
            ("gamma", "Struct:LayerNorm"),
        ]);
        assert_eq!((norm.owner, norm.kind), (Owner::Backbone, Kind::NormScale));
        // A factor of a branch has the name of a norm's scale, and is none.
        let factor = role(&[
            backbone,
            ("norm", "Struct:Block"),
            ("gamma", "Struct:LayerScale"),
        ]);
        assert_eq!(factor.kind, Kind::BranchScale);
        let merging = role(&[
            backbone,
            ("reduction", "Struct:PatchMerging"),
            ("weight", "Struct:Linear"),
        ]);
        assert_eq!(
            (merging.owner, merging.kind),
            (Owner::Transition, Kind::Weight)
        );
        let closing = role(&[
            ("Vit", "Enum:AnyBackbone"),
            ("anything", "Struct:Vit"),
            ("beta", "Struct:ClosingNorm"),
        ]);
        assert_eq!(
            (closing.owner, closing.kind),
            (Owner::AfterStages, Kind::NormShift)
        );
        let output = role(&[
            ("norms", "Struct:Selected"),
            ("norms", "Struct:OutputNorms"),
            ("3", "Vec"),
            ("beta", "Struct:LayerNorm"),
        ]);
        assert_eq!(output.owner, Owner::OutputNorm { stage: 3 });
        assert_eq!(output.kind, Kind::NormShift);
        let own = role(&[("sections", "Struct:VptDeep"), ("0", "Vec"), ("1", "Vec")]);
        assert_eq!((own.owner, own.kind), (Owner::Added, Kind::Weight));
    }

    #[test]
    fn a_network_of_another_crate_is_a_backbone() {
        let network = ("network", "Struct:OwnBackbone");
        let norm = role(&[
            network,
            ("norm", "Struct:Mine"),
            ("gamma", "Struct:LayerNorm"),
        ]);
        assert_eq!((norm.owner, norm.kind), (Owner::Backbone, Kind::NormScale));
    }

    #[test]
    fn the_number_of_a_task_in_a_name() {
        let name = "method.VmtAdapter.sections.0.1.tasks.12.scale";
        let (range, index) = task_of(name).unwrap();
        assert_eq!((&name[range], index), ("12", 12));
        assert_eq!(task_of("head.decoders.3.decoder").unwrap().1, 3);
        assert_eq!(task_of("method.VmtAdapter.sections.0.1.up"), None);
        assert_eq!(task_of("head.log_variances"), None);
    }

    #[test]
    fn statistics_by_their_names() {
        assert!(is_statistic("head.fuse.norm.running_var"));
        assert!(!is_statistic("head.fuse.norm.gamma"));
    }
}
