//! What an operator is told: wanted beside observed.

pub mod marks;
pub mod observed;
pub mod render;
pub mod serve;
pub mod view;
