//! Layouts of weight files: the names and orders of a publisher.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

use crate::checkpoint::Checkpoint;
use crate::import::{Imported, norm_names};
use crate::part::Part;
use crate::relatives::Shapes;

/// The layout of a publisher's files. Every family has a table of them.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Whose files have it.
    pub(crate) origin: &'static str,
    /// Names of parameters, one of which is in every file of this layout; they show where a backbone starts.
    pub(crate) anchors: &'static [&'static str],
    /// Names, one of which is in every file of this layout, and none in a file of a layout below it in the table.
    pub(crate) marks: &'static [&'static str],
    /// Returns the name of a key in the layout of the family's parameters; the key itself if there is none.
    pub(crate) name: fn(&str) -> String,
}

/// The layouts of a family. A file has the first one whose mark it has, otherwise the last one.
pub(crate) type Layouts = &'static [Layout];

/// Returns the layout of a file.
pub(crate) fn layout_of(layouts: Layouts, file: &Checkpoint) -> &'static Layout {
    let has_mark = |layout: &&Layout| layout.marks.iter().any(|mark| file.contains(mark));
    let found = layouts.iter().find(has_mark);
    found.unwrap_or(&layouts[layouts.len() - 1])
}

/// Returns the anchors of all layouts.
pub(crate) fn anchors(layouts: Layouts) -> Vec<&'static str> {
    let anchors = layouts.iter().flat_map(|layout| layout.anchors);
    anchors.copied().collect()
}

/// Returns the shapes of a file's tensors by the names of the family's parameters, if the file has a part with an
/// anchor.
pub(crate) fn shapes(layouts: Layouts, file: &Checkpoint) -> Option<Shapes> {
    let part = Part::find(file, &anchors(layouts)).ok()?.file;
    let layout = layout_of(layouts, &part);
    let named = |(key, shape): (String, Vec<usize>)| (norm_names((layout.name)(&key)), shape);
    Some(part.shapes().map(named).collect())
}

/// Replaces parts of a name, in order, each once.
pub(crate) fn replaced(key: &str, names: &[(&str, &str)]) -> String {
    let mut name = key.to_string();
    for (theirs, ours) in names {
        name = name.replacen(theirs, ours, 1);
    }
    name
}

/// The three projections of an attention, in timm's order, where a publisher has them apart.
const PROJECTIONS: [&str; 3] = ["query", "key", "value"];

/// Joins the weights and biases of queries, keys and values to those of one projection, `qkv`. A publisher may leave
/// out the bias of keys, which is then zero.
pub(crate) fn join_projections(tensors: &mut BTreeMap<String, Imported>) {
    let [query, _, _] = PROJECTIONS;
    let apart = |path: &String| {
        let (module, part) = path.rsplit_once('.')?;
        let attention = module.strip_suffix(query)?;
        Some((attention.to_string(), part.to_string()))
    };
    let found: Vec<(String, String)> = tensors.keys().filter_map(apart).collect();
    for (attention, part) in found {
        join(tensors, &attention, &part);
    }
}

fn join(tensors: &mut BTreeMap<String, Imported>, attention: &str, part: &str) {
    let parts = PROJECTIONS.map(|name| format!("{attention}{name}.{part}"));
    let [query, key, value] = parts.clone().map(|path| tensors.get(&path).cloned());
    let (Some(query), Some(value)) = (query, value) else {
        return;
    };
    let key = match key {
        Some(key) => key,
        None if part == "bias" => {
            let length = query.data.shape.num_elements();
            Imported {
                key: query.key.clone(),
                data: TensorData::new(vec![0.0_f32; length], query.data.shape.clone()),
            }
        }
        None => return,
    };
    let mut shape = query.data.shape.clone();
    if [&key, &value].iter().any(|other| other.data.shape != shape) || shape.is_empty() {
        return;
    }
    shape[0] *= 3;
    let joined = [&query, &key, &value];
    let joined = joined.iter().flat_map(|part| part.data.iter::<f32>());
    let data = TensorData::new(joined.collect::<Vec<f32>>(), shape);
    for path in parts {
        tensors.remove(&path);
    }
    let path = format!("{attention}qkv.{part}");
    let key = query.key;
    tensors.insert(path, Imported { key, data });
}
