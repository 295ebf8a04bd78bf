// Calling the next service: its failures become a 502 or 504 that names it.

import http from "node:http";
import https from "node:https";

import { ServiceError } from "./errors.js";

// A changed listener takes new connections only: after a second of silence the next request opens one, and so follows a
// new Telemetry or provider at once. Under load connections are kept all the same.
const CONNECTIONS = { keepAlive: true, timeout: 1000, maxSockets: 200, maxFreeSockets: 50 };
const HEADER_LIMIT = 64 * 1024; // bytes
const ANSWER_LIMIT = 1024 * 1024; // bytes

export class Upstream {
  /**
   * `timeout` is in seconds: to connect, to send, and for the answer as a whole. No proxy of the environment is used:
   * it must never come between a service and its sidecar.
   *
   * @param {string} name
   * @param {string} url
   * @param {number} timeout
   */
  constructor(name, url, timeout) {
    this.name = name;
    this.url = url;
    this.timeout = timeout;
    this.client = url.toLowerCase().startsWith("https:") ? https : http;
    this.agent = new this.client.Agent(CONNECTIONS);
  }

  /**
   * GET a path; the JSON of a 2xx answer. ServiceError 502 or 504 for everything else.
   *
   * A kept connection that the upstream closed just as the request was sent is no failure: the request goes out once
   * more, on a new one (RFC 9110, 9.2.2).
   *
   * @param {string} path
   * @param {Record<string, string>} headers
   */
  async get(path, headers) {
    const deadline = performance.now() + this.timeout * 1000;
    let answer;
    try {
      try {
        answer = await this.#ask(path, headers, this.agent, deadline);
      } catch (error) {
        if (!error.closedKept) throw error;
        answer = await this.#ask(path, headers, false, deadline);
      }
    } catch (error) {
      throw this.#failure(error);
    }
    if (answer.status < 200 || answer.status > 299) throw this.#failed(`answered ${answer.status}`);
    try {
      const content = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(answer.body));
      JSON.stringify(content); // what is nested too deep to be sent on is as good as no JSON
      return content;
    } catch (error) {
      throw this.#failed("the answer is not JSON", error);
    }
  }

  /** @returns {Promise<{status: number, body: Buffer}>} */
  #ask(path, headers, agent, deadline) {
    return new Promise((resolve, reject) => {
      const options = { agent, headers: { accept: "application/json", ...headers }, maxHeaderSize: HEADER_LIMIT };
      let reason; // why we gave up, if it was us
      let answered = false;
      const fail = (error) => {
        const closed = error.code === "ECONNRESET" || error.code === "EPIPE";
        error.closedKept = closed && request.reusedSocket && !answered && !reason;
        reject(reason ?? error);
      };
      const giveUp = (error) => {
        reason = error;
        request.destroy(error);
      };
      const request = this.client.request(this.url + path, options, (response) => {
        answered = true;
        const chunks = [];
        let size = 0;
        response.on("data", (chunk) => {
          chunks.push(chunk);
          size += chunk.length;
          if (size > ANSWER_LIMIT) giveUp(this.#failed(`the answer is larger than ${ANSWER_LIMIT} bytes`));
        });
        response.on("end", () => resolve({ status: response.statusCode, body: Buffer.concat(chunks) }));
        response.on("error", fail);
      });
      const late = () => giveUp(new ServiceError(504, `upstream ${this.name} timed out after ${this.timeout} s`));
      const timer = setTimeout(late, Math.max(1, deadline - performance.now()));
      request.on("error", fail);
      request.on("close", () => clearTimeout(timer));
      request.end();
    });
  }

  #failure(error) {
    if (error instanceof ServiceError) return error;
    const connecting = ["connect", "getaddrinfo"].includes(error.syscall) || error instanceof AggregateError;
    return this.#failed(connecting ? "cannot connect" : error.code ?? error.name, error);
  }

  #failed(reason, cause) {
    return new ServiceError(502, `upstream ${this.name} failed: ${reason}`, cause);
  }
}
