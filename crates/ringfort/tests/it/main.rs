//! End to end: the real binary, real sockets, and programs nobody here wrote.
#![cfg(test)]

mod cli;
mod echo;
mod host;
mod load;
mod wall;
