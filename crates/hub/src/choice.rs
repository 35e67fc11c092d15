//! The weight file that a repository is meant to be read from, if a reference names none.

/// The files that a repository of one network has its weights in.
const USUAL: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// Endings of weight files, the preferred ones first.
const ENDINGS: [&[&str]; 2] = [&[".safetensors"], &[".bin", ".pth", ".pt"]];

/// Why no file was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undecided {
    pub reason: String,
    /// A file that can be named.
    pub example: Option<String>,
}

/// Chooses the weight file from the files at the top of a repository: the usual name, or else the only one.
pub(crate) fn choose(files: &[String]) -> Result<&str, Undecided> {
    let top = || {
        files
            .iter()
            .map(String::as_str)
            .filter(|file| !file.contains('/'))
    };
    if let Some(usual) = USUAL
        .iter()
        .find_map(|usual| top().find(|file| file == usual))
    {
        return Ok(usual);
    }
    if let Some(index) = top().find(|file| file.ends_with(".index.json")) {
        return Err(Undecided {
            reason: format!("its weights are in several parts ({index}), which are not read"),
            example: None,
        });
    }
    for endings in ENDINGS {
        let is_weights = |file: &&str| endings.iter().any(|ending| file.ends_with(ending));
        let found: Vec<&str> = top().filter(is_weights).collect();
        match &found[..] {
            [] => {}
            [only] => return Ok(only),
            [first, ..] => {
                return Err(Undecided {
                    reason: format!(
                        "the repository has several weight files: {}",
                        found.join(", ")
                    ),
                    example: Some((*first).to_string()),
                });
            }
        }
    }
    let is_weights = |file: &&String| ENDINGS.concat().iter().any(|ending| file.ends_with(ending));
    let below = files.iter().find(is_weights);
    Err(Undecided {
        reason: match below {
            Some(_) => "the repository has no weight file at its top".to_string(),
            None => "the repository has no weight file".to_string(),
        },
        example: below.cloned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str]) -> Result<String, Undecided> {
        let files: Vec<String> = files.iter().map(ToString::to_string).collect();
        choose(&files).map(String::from)
    }

    #[test]
    fn the_usual_file_is_chosen_and_otherwise_the_only_one() {
        let usual = [
            "config.json",
            "pytorch_model.bin",
            "model.safetensors",
            "onnx/model.safetensors",
        ];
        assert_eq!(of(&usual).expect("a file"), "model.safetensors");
        assert_eq!(
            of(&["pytorch_model.bin", "other.safetensors"]).expect("a file"),
            "pytorch_model.bin"
        );
        assert_eq!(of(&["README.md", "swin.pth"]).expect("a file"), "swin.pth");
        assert_eq!(
            of(&["a.safetensors", "b.pth", "c.pth"]).expect("a file"),
            "a.safetensors"
        );
    }

    #[test]
    fn several_files_parts_and_none_are_not_decided() {
        let several = of(&["a.pth", "b.pth"]).expect_err("two files");
        assert!(several.reason.contains("a.pth, b.pth"), "{several:?}");
        assert_eq!(several.example.as_deref(), Some("a.pth"));
        let parts = [
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
        ];
        assert!(
            of(&parts)
                .expect_err("parts")
                .reason
                .contains("several parts")
        );
        let below = of(&["weights/a.safetensors"]).expect_err("below");
        assert_eq!(below.example.as_deref(), Some("weights/a.safetensors"));
        assert_eq!(of(&["README.md"]).expect_err("none").example, None);
    }
}
