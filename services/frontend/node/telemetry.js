// OpenTelemetry for the otel form. The plain form never imports this module.
//
// The SDK is configured by its standard OTEL_* variables; this module sets our defaults where a variable is absent.
// What is injected into outgoing requests passes the propagation switch, as the copied headers do.
//
// It stands beside package.json, since Node looks for packages from where a module lies.

import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

import {
  DiagLogLevel,
  SpanStatusCode,
  context,
  defaultTextMapSetter,
  diag,
  isSpanContextValid,
  trace,
} from "@opentelemetry/api";
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import { B3InjectEncoding, B3Propagator } from "@opentelemetry/propagator-b3";
import { defaultResource, detectResources, envDetector } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

import { HEADERS } from "../../common/node/forwarding.js";
import { HEALTH_PATHS } from "../../common/node/logs.js";
import { HTTP_URL, SECONDS, TEXT, choice, load, number, variable } from "../../common/node/settings.js";

// What waiting for a collector that is down may cost at the end; with the rest of the end that is below two seconds.
const FLUSH_SECONDS = 1.2;
// Without a collector the SDK has a line to say for each export.
const COMPLAINT_SECONDS = 30;

const PROPAGATORS = {
  tracecontext: () => new W3CTraceContextPropagator(),
  baggage: () => new W3CBaggagePropagator(),
  b3: () => new B3Propagator({ injectEncoding: B3InjectEncoding.SINGLE_HEADER }),
  b3multi: () => new B3Propagator({ injectEncoding: B3InjectEncoding.MULTI_HEADER }),
};

/** Of the formats that arrive the last listed wins: each one replaces what those before it found. */
function parsePropagators(value) {
  const names = value.split(",").map((name) => name.trim());
  if (names.length === 1 && names[0] === "none") return new CompositePropagator({ propagators: [] });
  if (!names.every((name) => Object.hasOwn(PROPAGATORS, name))) throw new RangeError();
  return new CompositePropagator({ propagators: names.map((name) => PROPAGATORS[name]()) });
}

const PROPAGATOR_NAMES = {
  parse: parsePropagators,
  allowed: `none, or some of ${Object.keys(PROPAGATORS).join(", ")} with comma between them`,
};
const SAMPLERS = ["always_on", "always_off", "traceidratio"];
const SAMPLER = choice(...SAMPLERS, ...SAMPLERS.map((name) => `parentbased_${name}`));

/** The OTEL_* variables for which this application has a default of its own; the SDK reads all others too. */
export const OTEL_SETTINGS = {
  serviceName: variable("OTEL_SERVICE_NAME", "", TEXT, "service.name of the spans, the service when empty"),
  endpoint: variable(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "http://127.0.0.1:4318",
    HTTP_URL,
    "OTLP/HTTP collector (protobuf)",
  ),
  exporter: variable("OTEL_TRACES_EXPORTER", "otlp", choice("otlp", "none"), "none: spans are made, not sent"),
  timeout: variable("OTEL_EXPORTER_OTLP_TIMEOUT", "2", SECONDS, "how long one export may take"),
  delay: variable(
    "OTEL_BSP_SCHEDULE_DELAY",
    "200",
    number(1, 60_000, " (milliseconds)"),
    "how long a finished span may wait",
  ),
  propagators: variable(
    "OTEL_PROPAGATORS",
    "b3multi,tracecontext,baggage",
    PROPAGATOR_NAMES,
    "formats read and written; of those that arrive the last listed wins",
  ),
  sampler: variable("OTEL_TRACES_SAMPLER", "parentbased_always_on", SAMPLER, "parentbased: the sidecar decides"),
  conventions: variable(
    "OTEL_SEMCONV_STABILITY_OPT_IN",
    "http,database",
    TEXT,
    "stable names of HTTP and SQL attributes",
  ),
};

/**
 * Set up the SDK from the environment, and flush what it holds at the end.
 * @param {import("../../common/node/serve.js").Service} service
 */
export function tracing(service) {
  const settings = load(OTEL_SETTINGS);
  for (const { name, fallback } of Object.values(OTEL_SETTINGS)) process.env[name] ||= fallback;
  process.env.OTEL_SERVICE_NAME ||= service.name;

  diag.setLogger(seldom(service.logger), DiagLogLevel.WARN);
  // The SDK would read our seconds as milliseconds, so the limit is handed to it.
  const exporter = () => new OTLPTraceExporter({ timeoutMillis: settings.timeout * 1000 });
  const provider = new NodeTracerProvider({
    resource: defaultResource().merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: settings.exporter === "otlp" ? [new BatchSpanProcessor(exporter())] : [],
  });
  provider.register({ propagator: new SwitchedPropagator(settings.propagators, service.propagation) });
  // The SDK writes these two groups itself; the other tracing headers are copied as in the plain form.
  service.forward.injected = new Set(["b3", "w3c"]);
  service.logger.context = traceIds;
  service.atEnd.push(() => shutDown(provider, service.logger));
  instrumentHttp(provider, service);
}

/** Server and client spans of node:http, which Express and our calls go through. */
function instrumentHttp(provider, service) {
  const instrumentation = new HttpInstrumentation({
    ignoreIncomingRequestHook: (request) =>
      HEALTH_PATHS.has(request.url.split("?")[0]) || request.socket.localPort === service.controlPort,
    // The name of a server span is the route that Express found.
    applyCustomAttributesOnSpan: (span, request) => {
      const route = /** @type {any} */ (request).route?.path;
      if (!route) return;
      span.setAttribute("http.route", route);
      span.updateName(`${request.method} ${route}`);
    },
  });
  registerInstrumentations({ tracerProvider: provider, instrumentations: [instrumentation] });
  // It changes these modules when they are required, and ours are imported: the objects are the same.
  const require = createRequire(import.meta.url);
  require("node:http");
  require("node:https");
}

/** Lets the switch decide which of the headers that the SDK writes go out. */
class SwitchedPropagator {
  constructor(inner, propagation) {
    this.inner = inner;
    this.propagation = propagation;
  }

  inject(active, carrier, setter) {
    const groups = HEADERS.modes.get(this.propagation.mode);
    const written = {};
    this.inner.inject(active, written, defaultTextMapSetter);
    for (const [name, value] of Object.entries(written)) {
      if (value && groups.has(HEADERS.group(name))) setter.set(carrier, name, value);
    }
  }

  extract(active, carrier, getter) {
    return this.inner.extract(active, carrier, getter);
  }

  fields() {
    return this.inner.fields();
  }
}

/** Send the last spans, but do not wait for a collector that is down. */
async function shutDown(provider, logger) {
  const flushed = provider.shutdown().then(() => true, () => true);
  const late = sleep(FLUSH_SECONDS * 1000, false);
  if (!(await Promise.race([flushed, late]))) {
    logger.log("warning", `the collector did not take the last spans within ${FLUSH_SECONDS} s`);
  }
}

/** The SDK's own words as log lines, one in half a minute. */
function seldom(logger) {
  let last = -Infinity;
  const complain = (level) => (message) => {
    const now = performance.now();
    if (now - last < COMPLAINT_SECONDS * 1000) return;
    last = now;
    logger.log(level, `opentelemetry: ${message}`);
  };
  const nothing = () => {};
  return { error: complain("error"), warn: complain("warning"), info: nothing, debug: nothing, verbose: nothing };
}

/** What a log line carries of the current span. */
function traceIds() {
  const span = trace.getSpanContext(context.active());
  return span && isSpanContextValid(span) ? { trace_id: span.traceId, span_id: span.spanId } : {};
}

/** Record an exception on the current span. @param {Error} error */
export function recordError(error) {
  const span = trace.getActiveSpan();
  span?.recordException(error);
  span?.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
}
