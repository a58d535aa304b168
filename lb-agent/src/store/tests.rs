//! Which changes touch which Services.
