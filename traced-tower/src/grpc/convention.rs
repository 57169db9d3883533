//! Whose names and tags the spans of gRPC calls have.

/// Whose names and tags the spans have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Convention {
    /// `pkg.Service/Method`, `rpc.service`, `rpc.method`, `rpc.error_code`.
    #[default]
    Brave,
    /// `/pkg.Service/Method`, `component`, `response_code`, `response_class`.
    Otgrpc,
}
