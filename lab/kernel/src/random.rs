//! `secure_random_value`.
