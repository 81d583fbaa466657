//! Where commands look and write that know more than the running machine.

use std::path::PathBuf;

use clap::Args;

use crate::add::Places;

/// The folder that stands for `/`.
#[derive(Debug, Args)]
pub struct Root {
    /// Look and write below this folder instead of /
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    root: PathBuf,
}

impl Root {
    /// Where the files are.
    pub fn places(&self) -> Places {
        Places::below(&self.root)
    }
}
