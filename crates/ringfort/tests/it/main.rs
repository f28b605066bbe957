//! End to end: the real binary, real sockets, and programs nobody here wrote.
#![cfg(test)]

mod cli;
mod echo;
mod foreign;
mod foreign_nginx;
mod foreign_postgres;
mod foreign_python;
mod foreign_redis;
mod host;
mod load;
mod wall;
