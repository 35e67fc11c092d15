//! What a parameter is for.
//!
//! Which parameters a method trains, a count groups and a checkpoint holds depends on it. It is told by the types that
//! hold a parameter, of which there are few, and not by the names on the way to it, which a new module chooses as it
//! likes.

use std::ops::Range;

use crate::parameters::ParameterPath;

/// What a parameter belongs to, and what it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// What it belongs to.
    pub owner: Owner,
    /// What it is.
    pub kind: Kind,
}

/// What a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A block of the backbone, or what is before the first.
    Backbone,
    /// The transition of the backbone from a section to the next.
    Transition,
    /// The norm between a stage of the backbone and the neck.
    OutputNorm {
        /// The stage, counted from the finest.
        stage: usize,
    },
    /// What a method adds, or a head.
    Added,
}

impl Owner {
    /// Whether it is a part of the backbone.
    pub fn is_backbone(self) -> bool {
        matches!(self, Self::Backbone | Self::Transition)
    }
}

/// What a parameter is in its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The scale of a norm.
    NormScale,
    /// The shift of a norm.
    NormShift,
    /// A mean or a variance of a batch norm, which a run changes without a gradient.
    Statistic,
    /// The bias of a linear layer or a convolution.
    Bias,
    /// A table of biases by relative position.
    PositionBias,
    /// Everything else: weights, factors, embeddings.
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

/// Layers by their type and field; of those that are not listed everything is a [`Kind::Weight`].
const LAYERS: [(&str, &str, Kind); 15] = [
    ("LayerNorm", "gamma", Kind::NormScale),
    ("LayerNorm", "beta", Kind::NormShift),
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
    (
        "WindowAttention",
        "relative_position_bias_table",
        Kind::PositionBias,
    ),
];

/// Types of the transitions between sections.
const TRANSITIONS: [&str; 1] = ["PatchMerging"];

impl Role {
    /// The role of the parameter at a path.
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
    /// What the parameter is for.
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
            "AnyBackbone" => owner = Owner::Backbone,
            _ if TRANSITIONS.contains(&holder) => owner = Owner::Transition,
            _ => {}
        }
    }
    owner
}

/// Whether the name of a saved tensor is that of a batch norm's statistics; of a parameter in a module its
/// [`Kind`] says so.
pub fn is_statistic(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    STATISTICS.contains(&last)
}

/// Fields that hold a module for each task, of methods and of heads.
const TASKS: [&str; 2] = ["tasks", "decoders"];

/// Where in the name of a parameter the number of its task is, and the number: `tasks.2` or `decoders.2`; none of what
/// the tasks share.
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
        assert_eq!(factor.kind, Kind::Weight);
        let merging = role(&[
            backbone,
            ("reduction", "Struct:PatchMerging"),
            ("weight", "Struct:Linear"),
        ]);
        assert_eq!(
            (merging.owner, merging.kind),
            (Owner::Transition, Kind::Weight)
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
