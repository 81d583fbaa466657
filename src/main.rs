//! `rouse`: argv in, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    rouse::cli::main()
}
