//! The APIs of admin tools. What is asked here, `compat/cases/admin_surface.py` asks of real Kafka too.

mod cluster;
mod configs;
mod security;
mod topics;
