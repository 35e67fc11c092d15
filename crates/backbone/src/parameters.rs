//! Visiting the parameters of a module with their paths.
//!
//! Burn's visitors report the modules that they enter and leave; here the path is tracked for all callers.

use std::fmt;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The path of a parameter in a module: the fields that lead to it, and the types that have these fields.
///
/// It is displayed as in records and checkpoints: `Swin.layers.0.blocks.1.norm1.gamma`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParameterPath {
    steps: Vec<Step>,
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// A field, a variant or an index.
    name: String,
    /// Its container: `Struct:LayerNorm`, `Enum:AnyBackbone`, `Vec`.
    container: String,
}

impl ParameterPath {
    /// Enters a field, a variant or an index of a container, both named as by Burn's visitors.
    pub fn enter(&mut self, name: &str, container: &str) {
        self.steps.push(Step {
            name: name.to_string(),
            container: container.to_string(),
        });
    }

    /// Leaves what was entered last.
    pub fn leave(&mut self) {
        self.steps.pop();
    }

    /// Returns the path for a module that is a field, a variant or an index of a container.
    pub(crate) fn within(&self, name: &str, container: &str) -> Self {
        let mut path = Self::default();
        path.enter(name, container);
        path.steps.extend_from_slice(&self.steps);
        path
    }

    /// Returns the types that lead to the parameter, such as `LayerNorm`, the outermost first. Each has the
    /// name of its field or variant and, if that is a list, the indices in it.
    pub(crate) fn types(&self) -> impl DoubleEndedIterator<Item = (&str, Vec<&str>)> {
        let starts = (0..self.steps.len()).filter_map(move |start| {
            let (_, name) = self.steps[start].container.split_once(':')?;
            Some((start, name))
        });
        starts.map(move |(start, name)| {
            let indices = self.steps[start + 1..].iter();
            let indices = indices.take_while(|step| !step.container.contains(':'));
            let names = std::iter::once(&self.steps[start]).chain(indices);
            (name, names.map(|step| step.name.as_str()).collect())
        })
    }
}

impl fmt::Display for ParameterPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let separator = if index == 0 { "" } else { "." };
            write!(formatter, "{separator}{}", step.name)?;
        }
        Ok(())
    }
}

/// Visits every float parameter and running statistic of a module.
pub trait ParameterVisitor<B: Backend> {
    /// Called once for each parameter, in the order of the module.
    fn visit<const D: usize>(&mut self, path: &ParameterPath, parameter: &Param<Tensor<B, D>>);
}

/// Replaces float parameters and running statistics of a module.
pub trait ParameterMapper<B: Backend> {
    /// Returns the new value of a parameter. Called once for each, in the order of the module.
    fn map<const D: usize>(
        &mut self,
        path: &ParameterPath,
        parameter: Param<Tensor<B, D>>,
    ) -> Param<Tensor<B, D>>;
}

/// Calls a visitor for every float parameter and running statistic of a module.
pub fn visit_parameters<B, M, V>(module: &M, visitor: &mut V)
where
    B: Backend,
    M: Module<B>,
    V: ParameterVisitor<B>,
{
    module.visit(&mut Walk {
        path: ParameterPath::default(),
        inner: visitor,
    });
}

/// Replaces every float parameter and running statistic of a module by the mapper's result.
pub fn map_parameters<B, M, P>(module: M, mapper: &mut P) -> M
where
    B: Backend,
    M: Module<B>,
    P: ParameterMapper<B>,
{
    module.map(&mut Walk {
        path: ParameterPath::default(),
        inner: mapper,
    })
}

/// Tracks the path of Burn's visitor.
struct Walk<'a, I> {
    path: ParameterPath,
    inner: &'a mut I,
}

impl<B: Backend, V: ParameterVisitor<B>> ModuleVisitor<B> for Walk<'_, V> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.leave();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        self.inner.visit(&self.path, parameter);
    }
}

impl<B: Backend, P: ParameterMapper<B>> ModuleMapper<B> for Walk<'_, P> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.leave();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        self.inner.map(&self.path, parameter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_displayed_as_records_have_it_and_knows_the_types_on_the_way() {
        let mut path = ParameterPath::default();
        for (name, container) in [
            ("Selected", "Enum:Tuned"),
            ("norms", "Struct:Selected"),
            ("norms", "Struct:OutputNorms"),
            ("2", "Vec"),
            ("gamma", "Struct:LayerNorm"),
        ] {
            path.enter(name, container);
        }
        assert_eq!(path.to_string(), "Selected.norms.norms.2.gamma");
        let types: Vec<_> = path.types().collect();
        let expected = [
            ("Tuned", vec!["Selected"]),
            ("Selected", vec!["norms"]),
            ("OutputNorms", vec!["norms", "2"]),
            ("LayerNorm", vec!["gamma"]),
        ];
        assert_eq!(types, expected);
        path.leave();
        assert_eq!(path.to_string(), "Selected.norms.norms.2");
    }
}
