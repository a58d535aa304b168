//! Promises about order and room.
