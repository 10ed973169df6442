//! The catalog as its users see it: every commit survives, and whatever happens to the manifests no live
//! file is given up.

mod crash;
mod damage;
mod store;
