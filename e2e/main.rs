//! End-to-end scenarios: the real binary as a process, against the pretend carrier and real outside
//! programs. One file for each scenario.

mod bad_days;
mod bad_input;
mod campaign;
mod content;
mod crash_random;
mod crash_steps;
mod dead;
mod demo;
mod fleet_crash;
mod fleet_life;
mod fleet_pace;
mod fleet_storage;
mod house;
mod inbound;
mod inbound_crash;
mod isolation;
mod many_reports;
mod original_app;
mod original_received;
mod outbound_mm4;
mod outbound_mm7;
mod own_listener;
mod personal;
mod postfix;
mod readers;
mod repeated;
mod rig;
mod smtp_clients;
mod spool;
mod submitted;
mod withdraw;
