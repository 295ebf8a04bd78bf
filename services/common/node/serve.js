// The life of a service: settings, logs, switch, listening sockets, and an end that loses no request.

import { writeSync } from "node:fs";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { getSystemErrorMap } from "node:util";

import { controlServer } from "./control.js";
import { StartError } from "./errors.js";
import { Forwarder } from "./forwarding.js";
import { Logger } from "./logs.js";
import { Switch } from "./propagation.js";
import { load } from "./settings.js";

const GRACE_SECONDS = 10;
// Envoy keeps an idle connection for an hour. The side that sends requests has to be the one that closes, else a
// request and the close cross on the wire and the request fails.
const KEEP_ALIVE_SECONDS = 3605;
const HEADER_LIMIT = 64 * 1024; // bytes

/**
 * Read the environment and hand out the service; a StartError ends the process with one line and status 2.
 *
 * @param {string} name
 * @param {Record<string, import("./settings.js").Variable>} settings
 * @param {(service: Service) => Promise<void>} main
 */
export async function start(name, settings, main) {
  try {
    await main(new Service(name, load(settings)));
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    writeSync(2, `${name}: ${error.message}\n`);
    process.exit(2);
  }
  process.exit(0);
}

/** A service about to serve: its settings, its switch and what it forwards. */
export class Service {
  /** What has to be done behind the last answer. @type {(() => Promise<void>)[]} */
  atEnd = [];
  /** The port of the switch, undefined without one. @type {number | undefined} */
  controlPort;

  constructor(name, settings) {
    this.name = name;
    this.settings = settings;
    this.logger = new Logger(name, settings.logLevel);
    this.propagation = new Switch(settings.propagation);
    this.forward = new Forwarder(this.propagation);
  }

  /**
   * Serve until SIGTERM or SIGINT, then finish what is in flight (10 s at most).
   * @param {http.RequestListener} app
   */
  async serve(app) {
    const { host, port, propagationControl, controlHost, controlPort, controlAllowedHosts } = this.settings;
    const server = http.createServer({ keepAliveTimeout: KEEP_ALIVE_SECONDS * 1000, maxHeaderSize: HEADER_LIMIT });
    const inFlight = new Set();
    let stopping = false;
    server.on("clientError", refuse);
    server.on("request", (request, response) => {
      inFlight.add(response);
      response.on("close", () => inFlight.delete(response));
      if (stopping) response.setHeader("Connection", "close");
    });
    server.on("request", app);

    const stop = new Promise((resolve) => {
      process.on("SIGTERM", resolve);
      process.on("SIGINT", resolve);
    });
    const fields = { port: await listen(server, host, port, "PORT") };
    // No file descriptor left for a connection, say: the next one may have one.
    server.on("error", (error) => this.logger.log("error", `server: ${error.message}`));
    if (propagationControl) {
      const control = controlServer(this.propagation, controlAllowedHosts, this.logger);
      this.controlPort = await listen(control, controlHost || host, controlPort, "CONTROL_PORT");
      fields.control_port = this.controlPort;
    }
    this.logger.log("info", `listening on ${host} port ${fields.port}`, fields);

    await stop;
    stopping = true;
    server.close(); // the port, and the connections that are idle
    for (const response of inFlight) {
      if (!response.headersSent) response.setHeader("Connection", "close");
    }
    const deadline = performance.now() + GRACE_SECONDS * 1000;
    // A connection that was accepted a moment ago has its request still on the way.
    await sleep(100);
    while (inFlight.size > 0 && performance.now() < deadline) await sleep(20);
    server.closeAllConnections();
    for (const end of this.atEnd) await end();
  }
}

/** Listen; the port that it became. StartError when the address or port cannot be had. */
async function listen(server, host, port, variable) {
  try {
    await new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, backlog: 1024 }, resolve);
    });
    server.removeAllListeners("error");
  } catch (error) {
    if (error.code === "EADDRINUSE") {
      throw new StartError(`${variable}=${port}: the port is in use on ${host}, choose another ${variable}`);
    }
    const reason = getSystemErrorMap().get(error.errno)?.[1] ?? error.message;
    throw new StartError(`cannot listen on ${host} port ${port} (${variable}): ${reason}`);
  }
  return server.address().port;
}

/** Answer in JSON what Node's parser refuses by itself. */
function refuse(error, socket) {
  if (!socket.writable) return socket.destroy();
  const statuses = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 };
  const status = statuses[error.code] ?? 400;
  const body = JSON.stringify({ error: http.STATUS_CODES[status].toLowerCase() });
  const head = `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nContent-Type: application/json\r\n`;
  const answer = `${head}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
  return socket.end(answer, () => socket.destroy());
}
