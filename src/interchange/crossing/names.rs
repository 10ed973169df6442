//! Attribute keys and tags that mean the same on both sides.

pub const SERVICE_NAME: &str = "service.name";
/// Says which resource attribute the service name came from, if not `service.name`.
pub const SERVICE_NAME_SOURCE: &str = "otlp.service.name.source";
pub const SCOPE_NAME: &str = "otel.scope.name";
pub const SCOPE_VERSION: &str = "otel.scope.version";
/// The former names of the two above, which must still be written.
pub const LIBRARY_NAME: &str = "otel.library.name";
pub const LIBRARY_VERSION: &str = "otel.library.version";
pub const STATUS_CODE: &str = "otel.status_code";
pub const STATUS_DESCRIPTION: &str = "otel.status_description";
pub const ERROR: &str = "error";
pub const TRACE_STATE: &str = "w3c.tracestate";
pub const SPAN_KIND: &str = "span.kind";
pub const START_ABSENT: &str = "otel.zipkin.absentField.startTime";
pub const DROPPED_ATTRIBUTES: &str = "otel.dropped_attributes_count";
pub const DROPPED_EVENTS: &str = "otel.dropped_events_count";
pub const DROPPED_LINKS: &str = "otel.dropped_links_count";
pub const HOST_IP: &str = "net.host.ip";
pub const HOST_PORT: &str = "net.host.port";
pub const PEER_SERVICE: &str = "peer.service";
pub const PEER_IP: &str = "net.peer.ip";
pub const PEER_PORT: &str = "net.peer.port";

/// The tag that holds the link of this index.
pub fn link_tag(index: usize) -> String {
    format!("otlp.link.{index}")
}

/// Tags that belong to the resource, not to the span.
/// Source: OpenTelemetry semantic conventions 1.6.1, resource attributes; OpenCensus.
pub const RESOURCE_KEYS: [&str; 84] = [
    "aws.ecs.cluster.arn",
    "aws.ecs.container.arn",
    "aws.ecs.launchtype",
    "aws.ecs.task.arn",
    "aws.ecs.task.family",
    "aws.ecs.task.revision",
    "aws.eks.cluster.arn",
    "aws.log.group.arns",
    "aws.log.group.names",
    "aws.log.stream.arns",
    "aws.log.stream.names",
    "cloud.account.id",
    "cloud.availability_zone",
    "cloud.platform",
    "cloud.provider",
    "cloud.region",
    "container.id",
    "container.image.name",
    "container.image.tag",
    "container.name",
    "container.runtime",
    "deployment.environment",
    "device.id",
    "device.model.identifier",
    "device.model.name",
    "faas.id",
    "faas.instance",
    "faas.max_memory",
    "faas.name",
    "faas.version",
    "host.arch",
    "host.id",
    "host.image.id",
    "host.image.name",
    "host.image.version",
    "host.name",
    "host.type",
    "k8s.cluster.name",
    "k8s.container.name",
    "k8s.cronjob.name",
    "k8s.cronjob.uid",
    "k8s.daemonset.name",
    "k8s.daemonset.uid",
    "k8s.deployment.name",
    "k8s.deployment.uid",
    "k8s.job.name",
    "k8s.job.uid",
    "k8s.namespace.name",
    "k8s.node.name",
    "k8s.node.uid",
    "k8s.pod.name",
    "k8s.pod.uid",
    "k8s.replicaset.name",
    "k8s.replicaset.uid",
    "k8s.statefulset.name",
    "k8s.statefulset.uid",
    "opencensus.exporterversion",
    "opencensus.resourcetype",
    "opencensus.starttime",
    "os.description",
    "os.name",
    "os.type",
    "os.version",
    "process.command",
    "process.command_args",
    "process.command_line",
    "process.executable.name",
    "process.executable.path",
    "process.owner",
    "process.pid",
    "process.runtime.description",
    "process.runtime.name",
    "process.runtime.version",
    "service.instance.id",
    "service.name",
    "service.namespace",
    "service.version",
    "telemetry.auto.version",
    "telemetry.sdk.language",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
    "webengine.description",
    "webengine.name",
    "webengine.version",
];
