//! What can be set about the collector: flags, each with its default. docs/SERVE.md has the table.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args};

use super::logs::{LogFormat, LogLevel};
use crate::commands::import::DurabilityWord;
use crate::outcome::usage;
use crate::sizes::parse_bytes;
use crate::times::parse_duration;

const EXAMPLES: &str = "\
Examples:
  tailspan serve my-store                                  OTLP on 4317 and 4318, Zipkin on 9411, this machine only
  tailspan serve my-store --zipkin=off --durability=interval
  tailspan serve my-store --config=serve.toml --query-tokens=tokens.txt
  TAILSPAN_MEMORY=1GiB tailspan serve my-store             any flag; flags come first, then the environment, then the file

SIGTERM or Ctrl-C finishes what is under way, closes the store and ends.";

/// Flags of `serve`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct ServeArgs {
    /// Folder of the store, which is created if it is not there
    pub store: PathBuf,
    /// Where OTLP comes in over gRPC; port 0 takes a free one, `off` none
    #[arg(long, default_value = "127.0.0.1:4317", value_name = "ADDRESS")]
    pub otlp_grpc: Address,
    /// Where OTLP comes in over HTTP, at /v1/traces
    #[arg(long, default_value = "127.0.0.1:4318", value_name = "ADDRESS")]
    pub otlp_http: Address,
    /// Where Zipkin's spans come in and its API answers
    #[arg(long, default_value = "127.0.0.1:9411", value_name = "ADDRESS")]
    pub zipkin: Address,
    /// Where questions are answered over HTTP, at /api, and /metrics tells figures
    #[arg(long, default_value = "127.0.0.1:4320", value_name = "ADDRESS")]
    pub page: Address,
    /// File of settings, in TOML, by the names of these flags
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File of bearer tokens, one a line, of those who may send spans
    #[arg(long, value_name = "FILE")]
    pub ingest_tokens: Option<PathBuf>,
    /// File of bearer tokens, one a line, of those who may ask
    #[arg(long, value_name = "FILE")]
    pub query_tokens: Option<PathBuf>,
    /// File of the certificate and its chain, in PEM: every door then speaks TLS
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// File of the certificate's private key, in PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Open doors on other interfaces than loopback, to whoever can reach them
    #[arg(long)]
    pub allow_remote: bool,
    /// When spans are acknowledged: synced to disk, synced every second, or left to the operating system
    #[arg(long, value_enum, default_value_t)]
    pub durability: DurabilityWord,
    /// Memory for spans not yet sealed, as in 256MiB
    #[arg(long, value_parser = parse_bytes, default_value = "256MiB", value_name = "BYTES")]
    pub memory: usize,
    /// Bytes of a request as it comes
    #[arg(long, value_parser = parse_bytes, default_value = "16MiB", value_name = "BYTES")]
    pub body_max: usize,
    /// Bytes of a request unpacked
    #[arg(long, value_parser = parse_bytes, default_value = "64MiB", value_name = "BYTES")]
    pub unpacked_max: usize,
    /// Bytes of all requests under way, unpacked; beyond it they are told to come again
    #[arg(long, value_parser = parse_bytes, default_value = "256MiB", value_name = "BYTES")]
    pub requests_bytes_max: usize,
    /// Attributes, events and links of one span together; one with more is rejected
    #[arg(long, default_value_t = 4096, value_name = "N")]
    pub span_parts_max: usize,
    /// Connections at once; more wait
    #[arg(long, default_value_t = 1024, value_name = "N")]
    pub connections_max: usize,
    /// Time a client has to say what it wants
    #[arg(long, default_value = "10s", value_name = "TIME")]
    pub header_time: Time,
    /// Time a client has to send a request
    #[arg(long, default_value = "30s", value_name = "TIME")]
    pub body_time: Time,
    /// Time requests under way have to end when the server is asked to
    #[arg(long, default_value = "10s", value_name = "TIME")]
    pub drain_time: Time,
    /// Whether spans come in at Zipkin's door
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub zipkin_collector: bool,
    /// Whether Zipkin's query API answers
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub zipkin_query: bool,
    /// Whether trace ids that share their lower 64 bits are different traces
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub strict_trace_id: bool,
    /// Whether Zipkin's API searches; if not, only traces by id and dependencies are answered
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub search_enabled: bool,
    /// Tags whose keys and values Zipkin's page completes
    #[arg(long, value_delimiter = ',', value_name = "KEYS")]
    pub autocomplete_keys: Vec<String>,
    /// How far a search looks back that does not say
    #[arg(long, default_value = "24h", value_name = "TIME")]
    pub query_lookback: Time,
    /// Time a query may take
    #[arg(long, default_value = "11s", value_name = "TIME")]
    pub query_time: Time,
    /// Queries at once; more wait
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub queries_max: usize,
    /// How long browsers may keep lists of names
    #[arg(long, default_value = "5m", value_name = "TIME")]
    pub names_max_age: Time,
    /// Web pages that may ask, by origin; * for all
    #[arg(long, value_delimiter = ',', default_value = "*", value_name = "ORIGINS")]
    pub allowed_origins: Vec<String>,
    /// Form of what is logged on standard error
    #[arg(long, value_enum, default_value = "text", value_name = "FORM")]
    pub log_format: LogFormat,
    /// How much is logged
    #[arg(long, value_enum, default_value = "info", value_name = "LEVEL")]
    pub log_level: LogLevel,
    /// Let POST /test/purge empty the store: for test kits alone
    #[arg(long)]
    pub test_purge: bool,
    /// Threads that speak with clients
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub threads: usize,
    /// Threads that wait for the disk
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub blocking_threads: usize,
}

impl ServeArgs {
    /// The doors by name, with their addresses.
    pub fn doors(&self) -> [(&'static str, Address); 4] {
        [("otlp-grpc", self.otlp_grpc), ("otlp-http", self.otlp_http), ("zipkin", self.zipkin), ("page", self.page)]
    }

    /// Fails if a door would be open to others than this machine and nobody said that it should.
    pub fn check_doors(&self) -> anyhow::Result<()> {
        for (name, address) in self.doors() {
            let remote = address.0.is_some_and(|address| !address.ip().is_loopback());
            let guarded = self.asks_for_token(name) && self.tls_cert.is_some();
            if remote && !self.allow_remote && !guarded {
                return Err(usage(format!(
                    "--{name}={address} is open to other machines; name files of tokens and a certificate (--tls-cert, \
                     --tls-key), or add --allow-remote if whoever can reach it may use it"
                )));
            }
        }
        Ok(())
    }

    /// True if nothing can be done at this door without a token.
    fn asks_for_token(&self, door: &str) -> bool {
        let (send, ask) = (self.ingest_tokens.is_some(), self.query_tokens.is_some());
        match door {
            "page" => ask,
            "zipkin" => send && ask,
            _ => send,
        }
    }
}

/// An address to listen on, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub Option<SocketAddr>);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let parsed = text.parse().map(|address| Self(Some(address)));
        parsed.map_err(|_| format!("'{text}' is neither an address with a port, as in 127.0.0.1:4317, nor `off`"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("off"),
        }
    }
}

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_duration(text).map(|nanos| Self(Duration::from_nanos(nanos)))
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    /// The row of a flag in the table of the documents.
    fn row(flag: &clap::Arg) -> Option<String> {
        let defaults: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let name = flag.get_long()?;
        Some(format!("| `--{name}` | {} | {} |", defaults.join(","), flag.get_help()?))
    }

    #[test]
    fn the_table_of_the_documents_has_every_flag_its_default_and_its_meaning() {
        let text = include_str!("../../../../docs/SERVE.md");
        let documented: Vec<&str> = text.lines().filter(|line| line.starts_with("| `--")).collect();
        let command = ServeArgs::augment_args(Command::new("serve"));
        let expected: Vec<String> = command.get_arguments().filter_map(row).collect();
        assert_eq!(documented, expected, "docs/SERVE.md should have:\n{}", expected.join("\n"));
    }

    #[test]
    fn an_address_is_one_with_a_port_or_off() {
        assert_eq!("off".parse(), Ok(Address(None)));
        assert_eq!("[::1]:0".parse::<Address>().map(|a| a.to_string()), Ok("[::1]:0".to_owned()));
        for text in ["", "4317", "localhost:4317", "127.0.0.1", "127.0.0.1:70000"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
