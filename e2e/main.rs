//! End-to-end scenarios: the real binary as a process, against the pretend carrier and real outside
//! programs. One file for each scenario.

mod house;
