//! The viewer as a program: `traced-viewer [--listen ADDRESS] [--demo]`, or `traced-viewer export --format FORMAT`.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use traced_viewer::{Demo, Format, Neighbour, Options, Server};

const HELP: &str = "\
See the traces of programs of this machine in the browser.

usage: traced-viewer [--listen ADDRESS] [--demo]
       traced-viewer export --format chrome|folded|zipkin|html < spans.json

  --listen ADDRESS  where to serve, an address of the loopback interface [default: 127.0.0.1:9411]
  --demo            records traces of two services to look at
  export            writes spans in Zipkin's JSON v2 for other tools:
                    chrome (Perfetto), folded (flame graphs), zipkin (JSON), html (one page without a server)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match Command::parse(&arguments) {
        Ok(Command::Help) => print(HELP.as_bytes()),
        Ok(Command::Serve { address, demo }) => serve(address, demo),
        Ok(Command::Export(format)) => export(format),
        Err(error) => {
            complain(&format!("{error}\n\n{HELP}"));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Serve { address: SocketAddr, demo: bool },
    Export(Format),
}

impl Command {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut arguments = arguments.iter().map(String::as_str);
        let (mut address, mut demo, mut format, mut exports) = (Server::ADDRESS, false, None, false);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument {
                "-h" | "--help" => return Ok(Self::Help),
                "--demo" => demo = true,
                "--listen" => {
                    let value = value()?;
                    address = value.parse().map_err(|_| {
                        format!(
                            "cannot listen on {value:?}: give an address with its port, such as {}",
                            Server::ADDRESS
                        )
                    })?;
                }
                "export" => exports = true,
                "--format" => format = Some(value()?.parse()?),
                other => return Err(format!("there is no argument {other:?}")),
            }
        }
        match (exports, format) {
            (false, None) => Ok(Self::Serve { address, demo }),
            (true, Some(format)) => Ok(Self::Export(format)),
            (true, None) => Err("export needs --format".to_owned()),
            (false, Some(_)) => Err("--format is for export".to_owned()),
        }
    }
}

fn serve(address: SocketAddr, demo: bool) -> Result<(), String> {
    let mut options = Options::default();
    options.demo = demo;
    let server = Server::start(address, options).map_err(|error| {
        if !error.is_in_use() {
            return error.to_string();
        }
        match Neighbour::at(address.port()) {
            neighbour @ (Neighbour::Viewer | Neighbour::Zipkin) => format!(
                "{neighbour} is at {address} already: open http://{address}/zipkin/, or give another port with --listen"
            ),
            neighbour => format!("{neighbour} is at {address}: give another port with --listen"),
        }
    })?;
    let _demo = if demo { Some(Demo::start(&server.spans_url())?) } else { None };
    let spans_url = server.spans_url();
    let what = if demo { "traces of the demo" } else { "traces" };
    print(format!("{what} at {}\nspans to {spans_url}\nCtrl-C ends it\n", server.url()).as_bytes())?;
    loop {
        std::thread::park();
    }
}

fn export(format: Format) -> Result<(), String> {
    let mut spans = Vec::new();
    std::io::stdin().read_to_end(&mut spans).map_err(|error| format!("cannot read spans: {error}"))?;
    print(&format.convert(&spans).map_err(|error| format!("cannot read spans: {}", error.trim_end()))?)
}

fn print(bytes: &[u8]) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| format!("cannot write: {error}"))
}

fn complain(text: &str) {
    // Nothing is left to be done where standard error is closed.
    writeln!(std::io::stderr(), "traced-viewer: {text}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_say_what_is_wrong_with_them() {
        assert_eq!(parse(""), Ok(Command::Serve { address: Server::ADDRESS, demo: false }));
        let address = SocketAddr::from(([127, 0, 0, 1], 5));
        assert_eq!(parse("--demo --listen 127.0.0.1:5"), Ok(Command::Serve { address, demo: true }));
        assert_eq!(parse("export --format html"), Ok(Command::Export(Format::Html)));
        assert_eq!(parse("--help --x"), Ok(Command::Help));
        for (line, error) in [
            ("--x", "there is no argument \"--x\""),
            ("--listen", "--listen needs a value"),
            ("--listen 9411", "cannot listen on \"9411\": give an address with its port, such as 127.0.0.1:9411"),
            ("export", "export needs --format"),
            ("--format html", "--format is for export"),
            ("export --format x", "there is no format \"x\": give one of chrome, folded, zipkin, html"),
        ] {
            assert_eq!(parse(line), Err(error.to_owned()));
        }
    }
}
