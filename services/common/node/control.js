// The control port: `GET` and `PUT /propagation` with {"mode": "none"}, on a port of its own.
//
// It is never routed through the sidecar. Web pages must not reach it: a foreign Host header (DNS rebinding) or an
// Origin of another site is refused, and the JSON content type keeps plain HTML forms out.

import http from "node:http";

import { ServiceError } from "./errors.js";
import { MODES } from "./propagation.js";

const BODY_LIMIT = 1024; // bytes
const CLIENT_SECONDS = 5; // that a client may take for its request
const LOCAL_NAMES = ["localhost", "127.0.0.1", "[::1]"];
const ALLOWED = MODES.join(", ");

/**
 * A server of the switch, not yet listening; it does not keep the process alive.
 * @param {import("./propagation.js").Switch} propagation
 * @param {string[]} allowedHosts
 * @param {import("./logs.js").Logger} logger
 */
export function controlServer(propagation, allowedHosts, logger) {
  const hosts = new Set([...LOCAL_NAMES, ...allowedHosts.map((host) => host.toLowerCase())]);
  const limits = {
    requestTimeout: CLIENT_SECONDS * 1000,
    headersTimeout: CLIENT_SECONDS * 1000,
    connectionsCheckingInterval: 1000,
  };
  const server = http.createServer(limits, async (request, response) => {
    try {
      checkCaller(request, hosts);
      if (request.url.split("?")[0] !== "/propagation") {
        throw new ServiceError(404, "not found, the control port knows /propagation");
      }
      if (request.method === "PUT") {
        propagation.mode = requestedMode(await body(request));
        logger.log("info", `propagation is now ${propagation.mode}`);
      } else if (request.method !== "GET") {
        throw new ServiceError(405, "method not allowed, use GET or PUT");
      }
      send(response, 200, { mode: propagation.mode });
    } catch (error) {
      if (error instanceof ServiceError) send(response, error.status, { error: error.message });
      else response.destroy(); // the client went away in the middle of its body
    }
  });
  return server.unref();
}

function checkCaller(request, hosts) {
  const authority = (request.headers.host ?? "").toLowerCase();
  const host = authority.startsWith("[")
    ? authority.slice(0, authority.lastIndexOf("]") + 1)
    : authority.split(":")[0];
  if (!hosts.has(host)) {
    throw new ServiceError(403, "this Host is not allowed, CONTROL_ALLOWED_HOSTS adds names");
  }
  const { origin } = request.headers;
  if (origin !== undefined && origin.toLowerCase() !== `http://${authority}`) {
    throw new ServiceError(403, "requests from another origin are not allowed");
  }
}

async function body(request) {
  const type = (request.headers["content-type"] ?? "").split(";")[0].trim().toLowerCase();
  if (type !== "application/json") {
    throw new ServiceError(415, `send Content-Type: application/json with {"mode": "<mode>"}, mode one of ${ALLOWED}`);
  }
  const length = request.headers["content-length"];
  if (length === undefined) throw new ServiceError(400, "a Content-Length is needed");
  if (Number(length) > BODY_LIMIT) {
    throw new ServiceError(413, `the body is larger than ${BODY_LIMIT} bytes, {"mode": ...} takes one of ${ALLOWED}`);
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The mode that a body asks for; ServiceError 400 names the allowed values. */
function requestedMode(bytes) {
  let content;
  try {
    content = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new ServiceError(400, `the body is not JSON, expected {"mode": "<mode>"} with mode one of ${ALLOWED}`);
  }
  const isObject = typeof content === "object" && content !== null && !Array.isArray(content);
  if (!isObject || !MODES.includes(content.mode) || Object.keys(content).length !== 1) {
    throw new ServiceError(400, `expected {"mode": "<mode>"} with mode one of ${ALLOWED}`);
  }
  return content.mode;
}

function send(response, status, content) {
  const text = JSON.stringify(content);
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
    ...(status === 405 && { Allow: "GET, PUT" }),
    // What is left of a refused body is not read.
    ...(status !== 200 && { Connection: "close" }),
  });
  response.end(text);
}
