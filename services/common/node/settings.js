// Settings come from the environment alone. Each variable stands once: name, default, kind, text.
//
// A service lists its variables in a table and gets the values from `load`. A wrong value ends the start with one line
// that names the variable, the value and what is allowed. An empty value counts as unset. Names, defaults, kinds and
// the words of the refusals are those of every language.

import { StartError } from "./errors.js";
import { MODES } from "./propagation.js";

/**
 * @typedef {{parse: (value: string) => any, allowed: string}} Kind how a value is read (`parse` throws) and, in words,
 *   what is allowed
 * @typedef {{name: string, fallback: string, kind: Kind, text: string}} Variable
 */

/** @returns {Variable} one environment variable; `fallback` is text, as in the environment */
export const variable = (name, fallback, kind, text) => ({ name, fallback, kind, text });

/**
 * The values of a table of variables; StartError names the first that is wrong.
 * @param {Record<string, Variable>} table
 */
export function load(table, environ = process.env) {
  return Object.fromEntries(Object.entries(table).map(([key, entry]) => [key, read(entry, environ)]));
}

function read({ name, fallback, kind }, environ) {
  const value = environ[name] || fallback;
  try {
    return kind.parse(value);
  } catch {
    throw new StartError(`${name}=${quoted(value)} is not allowed, expected ${kind.allowed}`);
  }
}

/** A value between quotes, on one line. */
function quoted(value) {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const hex = (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, "0")}`;
  const escaped = value.replace(/[\\\x00-\x1f\x7f]/g, (one) => ESCAPES[one] ?? hex(one));
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

const ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function check(condition) {
  if (!condition) throw new RangeError();
}

/** @returns {Kind} */
export function choice(...values) {
  const parse = (value) => {
    check(values.includes(value));
    return value;
  };
  return { parse, allowed: `one of ${values.join(", ")}` };
}

/** @returns {Kind} */
export function number(low, high, note = "") {
  const parse = (value) => {
    check(/^[0-9]{1,9}$/.test(value) && low <= Number(value) && Number(value) <= high);
    return Number(value);
  };
  return { parse, allowed: `a number from ${low} to ${high}${note}` };
}

function parseSeconds(value) {
  check(/^[+]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value.trim()));
  const seconds = Number(value);
  check(seconds > 0 && seconds <= 3600);
  return seconds;
}

function parseUrl(value) {
  check(/^https?:\/\/[^/?#]/i.test(value) && !/\s/.test(value));
  const url = new URL(value);
  check(url.hostname && !url.username && !url.search && !url.hash && url.port !== "0");
  return value.replace(/\/+$/, "");
}

/** @type {Kind} */
export const TEXT = { parse: (value) => value, allowed: "text" };
export const PORT = number(0, 65535, " (0: any free port)");
/** @type {Kind} */
export const SECONDS = { parse: parseSeconds, allowed: "seconds above 0, at most 3600" };
/** @type {Kind} */
export const HTTP_URL = { parse: parseUrl, allowed: "a URL such as http://name:8080" };
/** @type {Kind} */
export const NAMES = {
  parse: (value) => value.split(",").map((name) => name.trim()).filter(Boolean),
  allowed: "names, comma between them",
};
const ON_OFF = choice("on", "off");

/** What every service understands. */
export const COMMON = {
  host: variable("HOST", "127.0.0.1", TEXT, "address to listen on"),
  port: variable("PORT", "8080", PORT, "port to listen on"),
  logLevel: variable("LOG_LEVEL", "info", choice("debug", "info", "warning", "error"), "what is logged"),
  propagation: variable("PROPAGATION", "all", choice(...MODES), "tracing headers forwarded at start"),
  propagationControl: variable(
    "PROPAGATION_CONTROL",
    "off",
    { ...ON_OFF, parse: (value) => ON_OFF.parse(value) === "on" },
    "open the control port",
  ),
  controlHost: variable("CONTROL_HOST", "", TEXT, "address of the control port, HOST when empty"),
  controlPort: variable("CONTROL_PORT", "8090", PORT, "control port"),
  controlAllowedHosts: variable(
    "CONTROL_ALLOWED_HOSTS",
    "",
    NAMES,
    "Host names the control port accepts beside the loopback ones",
  ),
};
