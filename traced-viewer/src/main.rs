//! The viewer as a program.

use std::net::SocketAddr;
use std::process::ExitCode;

use traced_viewer::{Options, Server};

fn main() -> ExitCode {
    let address: SocketAddr = std::env::args().nth(2).and_then(|a| a.parse().ok()).unwrap_or(Server::ADDRESS);
    match Server::start(address, Options::default()) {
        Ok(server) => {
            println!("{}", server.url());
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            eprintln!("traced-viewer: {error}");
            ExitCode::FAILURE
        }
    }
}
