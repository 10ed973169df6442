//! `serve`: a collector that SDKs can be pointed at.
//!
//! ```text
//! door (port) ─> guard: time, bytes ─> unpack ─> Intake ─> Store on a blocking thread ─> durable ─> acknowledged
//!   otlp-grpc    otlp-http    zipkin
//! ```
//!
//! The reactor never waits for a disk: whatever touches the store runs on a blocking thread. A span is acknowledged
//! when the store's durability mode is met, never before; whatever cannot be taken is refused with a reason, and with a
//! hint when to come again if that would help.

mod door;
mod guard;
mod intake;
mod otlp_grpc;
mod otlp_http;
mod refusal;
mod settings;
mod unpack;
mod zipkin;

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use tailspan::{Limits, Store};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::commands::{warn, warn_of_damage};
use crate::outcome::Outcome;
use door::Door;
use guard::Guard;
use intake::Intake;
pub use settings::ServeArgs;

/// Serves until a signal ends it, then finishes what is under way and closes the store.
pub fn run(args: &ServeArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    args.check_doors()?;
    let store = open(args)?;
    let damaged = warn_of_damage(&store);
    let runtime = Builder::new_multi_thread()
        .worker_threads(args.threads.max(1))
        .max_blocking_threads(args.blocking_threads.max(1))
        .thread_name("tailspan-serve")
        .enable_all()
        .build()
        .context("cannot start the threads of the server")?;
    let served = serve(&runtime, args, &store, out);
    // Requests that outlive the time to drain hold clones of the store; closing it does not wait for them.
    runtime.shutdown_background();
    store.close()?;
    served?;
    Ok(Outcome::Done.or_damaged(damaged))
}

fn open(args: &ServeArgs) -> anyhow::Result<Store> {
    let mut limits = Limits::default();
    limits.message_bytes_max = args.unpacked_max;
    limits.span_parts_max = args.span_parts_max;
    let builder = Store::builder(&args.store).durability(args.durability.of_store()).limits(limits);
    Ok(builder.memory_budget_bytes(args.memory).open()?)
}

fn serve(runtime: &Runtime, args: &ServeArgs, store: &Store, out: &mut dyn Write) -> anyhow::Result<()> {
    let intake = Intake::new(store.clone());
    let guard = Guard::new(args);
    let routers = [
        otlp_grpc::router(intake.clone(), args.unpacked_max),
        otlp_http::router(intake.clone(), args.unpacked_max),
        zipkin::router(intake, args),
    ];
    runtime.block_on(async {
        // Asked for before the doors open, so that a signal that comes at once is heard.
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (stop, stopped) = watch::channel(false);
        let connections = Arc::new(tokio::sync::Semaphore::new(args.connections_max));
        let mut open_doors = Vec::new();
        for ((name, address), router) in args.doors().into_iter().zip(routers) {
            if let Some(address) = address.0 {
                let door = Door::open(name, address, guard.around(router), connections.clone(), args).await?;
                writeln!(out, "{name} {}", door.address()?)?;
                open_doors.push(tokio::spawn(door.serve(stopped.clone())));
            }
        }
        writeln!(out, "ready")?;
        out.flush()?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.send_replace(true);
        let drained = async {
            for door in open_doors {
                let _ = door.await;
            }
        };
        if tokio::time::timeout(args.drain_time.0, drained).await.is_err() {
            warn("some requests did not end in time and were cut off unacknowledged");
        }
        Ok(())
    })
}
