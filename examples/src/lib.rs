//! Examples of `traced`: each file in `examples/` is one program.
