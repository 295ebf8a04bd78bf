// Which headers a service copies from the request it received to the requests that it makes.
//
// A sidecar sees a request come in and another go out; only the application knows that the second belongs to the first.
// Copying these headers says so, and it is all that a service without a tracing SDK has to do.
//
// The list stands once, in services/common/headers.json, for every language. A header that is not in it is forwarded
// when its name begins with one of the `prefixes`: the families of the vendors grow, and the rule need not.

import { readFileSync } from "node:fs";

const content = JSON.parse(readFileSync(new URL("../headers.json", import.meta.url), "utf8"));

/** The content of headers.json; every name is lower case. */
export const HEADERS = {
  /** @type {Map<string, string>} tracing header -> request-id | b3 | w3c | vendor */
  groups: new Map(content.tracing.map((entry) => [entry.name, entry.group])),
  /** @type {{prefix: string, group: string}[]} */
  prefixes: content.prefixes,
  /** @type {Map<string, Set<string>>} PROPAGATION mode -> groups that it forwards */
  modes: new Map(Object.entries(content.modes).map(([mode, groups]) => [mode, new Set(groups)])),

  /**
   * The group of a tracing header (lower case), undefined for any other header.
   * @param {string} name
   */
  group(name) {
    return this.groups.get(name) ?? this.prefixes.find((entry) => name.startsWith(entry.prefix))?.group;
  },
};

// What RFC 9110 lets a field value hold (5.5). Some servers accept more than clients then agree to send.
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]+$/;

/** Picks the headers to copy: `forward.headers(request)`. */
export class Forwarder {
  /** Routing headers that this application needs further inside the mesh. */
  routing = new Set();
  /** Groups that a tracing SDK writes by itself: a copy of the incoming ones would point past the SDK's spans. */
  injected = new Set();

  /** @param {import("./propagation.js").Switch} propagation */
  constructor(propagation) {
    this.propagation = propagation;
  }

  /**
   * The headers to send, names in lower case, each name once.
   *
   * A header that came several times is sent once, its values joined with a comma, as RFC 9110 (5.3) has it. An empty
   * one (Envoy's OpenTelemetry tracer sends an empty tracestate) says nothing and is left out.
   *
   * @param {import("node:http").IncomingMessage} request
   * @returns {Record<string, string>}
   */
  headers(request) {
    const groups = HEADERS.modes.get(this.propagation.mode);
    /** @type {Record<string, string>} */
    const picked = {};
    // Name, value, name, value, ... as they came: `request.headers` joins some that repeat and drops others.
    for (let index = 0; index < request.rawHeaders.length; index += 2) {
      const name = request.rawHeaders[index].toLowerCase();
      const value = request.rawHeaders[index + 1].trim();
      const group = HEADERS.group(name);
      const wanted = this.routing.has(name) || (groups.has(group) && !this.injected.has(group));
      if (wanted && FIELD_VALUE.test(value)) {
        picked[name] = name in picked ? `${picked[name]},${value}` : value;
      }
    }
    return picked;
  }
}
