//! What an operator is told: wanted beside observed.

pub mod complaint;
pub mod decisions;
pub mod http;
pub mod marks;
pub mod observed;
pub mod render;
pub mod serve;
pub mod table;
pub mod view;
