//! Helpers of the tests: real peers and how they are started.
