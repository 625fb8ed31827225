//! End-to-end scenarios: the real binary as a process, against the pretend carrier and real outside
//! programs. One file for each scenario.

mod bad_days;
mod bad_input;
mod campaign;
mod crash_random;
mod crash_steps;
mod demo;
mod house;
mod inbound;
mod inbound_crash;
mod isolation;
mod original_app;
mod original_received;
mod outbound_mm4;
mod outbound_mm7;
mod personal;
mod postfix;
mod readers;
mod repeated;
mod rig;
mod smtp_clients;
mod spool;
mod withdraw;
