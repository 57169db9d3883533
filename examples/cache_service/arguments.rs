//! The command line.

use crate::Result;

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    Both,
    Server { listen: String, style: Style, ending: Ending },
    Client { connect: String, style: Style, call: Call },
}

/// Whose names and tags the spans have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Brave,
    Otgrpc,
}

/// What ends the server, beside SIGTERM and Ctrl-C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Signal,
    /// The end of its standard input: whoever started it is gone, or wants it to end.
    Eof,
}

/// What to ask the server.
#[derive(Debug)]
pub(crate) enum Call {
    Get { key: String },
    Store { key: String, value: Vec<u8> },
    Dump,
}

const USAGE: &str = "usage: cache_service [server [--listen 127.0.0.1:5051] [--otgrpc] [--until-eof] | \
                     client [--connect http://127.0.0.1:5051] [--otgrpc] get KEY | store KEY VALUE | dump]";

/// Reads what stands after the program's name.
pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Command> {
    let Some(side) = arguments.next() else { return Ok(Command::Both) };
    let mut address = None;
    let mut style = Style::Brave;
    let mut ending = Ending::Signal;
    let mut words = Vec::new();
    while let Some(argument) = arguments.next() {
        match (side.as_str(), argument.as_str()) {
            (_, "--otgrpc") => style = Style::Otgrpc,
            ("server", "--until-eof") => ending = Ending::Eof,
            ("server", "--listen") | ("client", "--connect") => {
                address = Some(arguments.next().ok_or_else(|| format!("{argument} needs an address; {USAGE}"))?);
            }
            ("client", word) if !word.starts_with("--") => words.push(argument),
            _ => return Err(format!("{argument:?} is not known here; {USAGE}").into()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let call = match *words {
        ["get", key] => Call::Get { key: key.to_owned() },
        ["store", key, value] => Call::Store { key: key.to_owned(), value: value.into() },
        ["dump"] => Call::Dump,
        _ if side == "server" => {
            let listen = address.unwrap_or_else(|| "127.0.0.1:5051".to_owned());
            return Ok(Command::Server { listen, style, ending });
        }
        _ => return Err(format!("nothing to do; {USAGE}").into()),
    };
    let connect = address.unwrap_or_else(|| "http://127.0.0.1:5051".to_owned());
    Ok(Command::Client { connect, style, call })
}
