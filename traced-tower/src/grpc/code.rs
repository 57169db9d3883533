//! Status codes, as the peers of the field call them.

use super::convention::Convention;

/// The code that a gRPC call ended with: one of those that the [specification][spec] names, or another number.
///
/// [spec]: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(u32);

/// Each code's name in Go, in Java, and the class that otgrpc puts it into.
const NAMES: [(&str, &str, &str); 17] = [
    ("OK", "OK", "2xx"),
    ("Canceled", "CANCELLED", "2xx"),
    ("Unknown", "UNKNOWN", UNKNOWN_CLASS),
    ("InvalidArgument", "INVALID_ARGUMENT", "4xx"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED", SERVER_CLASS),
    ("NotFound", "NOT_FOUND", "4xx"),
    ("AlreadyExists", "ALREADY_EXISTS", "4xx"),
    ("PermissionDenied", "PERMISSION_DENIED", "4xx"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED", SERVER_CLASS),
    ("FailedPrecondition", "FAILED_PRECONDITION", "4xx"),
    ("Aborted", "ABORTED", SERVER_CLASS),
    ("OutOfRange", "OUT_OF_RANGE", "4xx"),
    ("Unimplemented", "UNIMPLEMENTED", SERVER_CLASS),
    ("Internal", "INTERNAL", SERVER_CLASS),
    ("Unavailable", "UNAVAILABLE", SERVER_CLASS),
    ("DataLoss", "DATA_LOSS", SERVER_CLASS),
    ("Unauthenticated", "UNAUTHENTICATED", "4xx"),
];

const UNKNOWN_CLASS: &str = "0xx";
const SERVER_CLASS: &str = "5xx";

impl Code {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const CANCELLED: Self = Self(1);
    pub(crate) const UNKNOWN: Self = Self(2);
    const PERMISSION_DENIED: Self = Self(7);
    const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
    const INTERNAL: Self = Self(13);
    pub(crate) const UNAVAILABLE: Self = Self(14);

    /// What the header `grpc-status` says; a value that is no number is [`UNKNOWN`](Self::UNKNOWN).
    pub(crate) fn of_header(value: &[u8]) -> Self {
        std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).map_or(Self::UNKNOWN, Self)
    }

    pub(crate) fn of(code: tonic::Code) -> Self {
        // The numbers of `tonic::Code` are those of the specification: none is negative.
        Self(u32::try_from(code as i32).unwrap_or(Self::UNKNOWN.0))
    }

    /// What a call has ended with whose stream was reset with this error code of HTTP/2. Brave is
    /// Java, otgrpc is Go, and their tables differ.
    pub(crate) fn of_http2(reason: h2::Reason, convention: Convention) -> Self {
        use h2::Reason as R;
        match (reason, convention) {
            (R::REFUSED_STREAM, _) | (R::NO_ERROR, Convention::Brave) => Self::UNAVAILABLE,
            (R::CANCEL, _) => Self::CANCELLED,
            (R::ENHANCE_YOUR_CALM, _) | (R::FLOW_CONTROL_ERROR, Convention::Otgrpc) => Self::RESOURCE_EXHAUSTED,
            (R::INADEQUATE_SECURITY, _) => Self::PERMISSION_DENIED,
            (R::HTTP_1_1_REQUIRED, Convention::Brave) => Self::UNKNOWN,
            (other, Convention::Otgrpc) if u32::from(other) > u32::from(R::HTTP_1_1_REQUIRED) => Self::UNKNOWN,
            _ => Self::INTERNAL,
        }
    }

    /// `NotFound`, or `Code(17)`.
    pub(crate) fn in_go(self) -> String {
        self.names().map_or_else(|| format!("Code({})", self.0), |(go, ..)| go.to_owned())
    }

    /// `NOT_FOUND`; what is not named is `UNKNOWN`.
    pub(crate) fn in_java(self) -> &'static str {
        self.names().map_or("UNKNOWN", |(_, java, _)| java)
    }

    /// The class that otgrpc puts it into.
    pub(crate) fn class(self) -> &'static str {
        self.names().map_or(UNKNOWN_CLASS, |(.., class)| class)
    }

    /// Whether otgrpc says that the server is at fault.
    pub(crate) fn is_of_server(self) -> bool {
        self.class() == SERVER_CLASS
    }

    fn names(self) -> Option<(&'static str, &'static str, &'static str)> {
        NAMES.get(usize::try_from(self.0).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_and_classes_of_their_peers() {
        for (number, go, java, class) in [
            ("0", "OK", "OK", "2xx"),
            ("1", "Canceled", "CANCELLED", "2xx"),
            ("2", "Unknown", "UNKNOWN", "0xx"),
            ("5", "NotFound", "NOT_FOUND", "4xx"),
            ("9", "FailedPrecondition", "FAILED_PRECONDITION", "4xx"),
            ("12", "Unimplemented", "UNIMPLEMENTED", "5xx"),
            ("13", "Internal", "INTERNAL", "5xx"),
            ("16", "Unauthenticated", "UNAUTHENTICATED", "4xx"),
            ("17", "Code(17)", "UNKNOWN", "0xx"),
            ("what?", "Unknown", "UNKNOWN", "0xx"),
        ] {
            let code = Code::of_header(number.as_bytes());
            assert_eq!((code.in_go().as_str(), code.in_java(), code.class()), (go, java, class));
        }
        for code in 0..17 {
            assert_eq!(Code::of(tonic::Code::from(code)), Code(u32::try_from(code).expect("small")));
        }
    }

    /// As clients of grpc-java 1.70 and grpc-go 1.23 took them.
    #[test]
    fn a_stream_that_is_reset_ends_as_in_java_and_in_go() {
        for (reason, java, go) in [
            (0, "UNAVAILABLE", "Internal"),
            (1, "INTERNAL", "Internal"),
            (2, "INTERNAL", "Internal"),
            (3, "INTERNAL", "ResourceExhausted"),
            (4, "INTERNAL", "Internal"),
            (5, "INTERNAL", "Internal"),
            (6, "INTERNAL", "Internal"),
            (7, "UNAVAILABLE", "Unavailable"),
            (8, "CANCELLED", "Canceled"),
            (9, "INTERNAL", "Internal"),
            (10, "INTERNAL", "Internal"),
            (11, "RESOURCE_EXHAUSTED", "ResourceExhausted"),
            (12, "PERMISSION_DENIED", "PermissionDenied"),
            (13, "UNKNOWN", "Internal"),
            (99, "INTERNAL", "Unknown"),
        ] {
            let code = |convention| Code::of_http2(h2::Reason::from(reason), convention);
            assert_eq!(code(Convention::Brave).in_java(), java, "{reason}");
            assert_eq!(code(Convention::Otgrpc).in_go(), go, "{reason}");
        }
    }
}
