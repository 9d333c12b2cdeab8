//! The `keymill` program: arguments in, exit code out.

mod cli;
mod config;

fn main() -> std::process::ExitCode {
    cli::main()
}
