// What the Express services have in common: health, JSON errors, the access log.

import { unescape } from "node:querystring";

import { ServiceError } from "./errors.js";

/** What the plain form does with an error beyond answering and logging it: nothing. */
export const ignore = () => {};

/**
 * Give an Express application /healthz and answers in JSON that are logged once they are given.
 *
 * @param {import("express").Express} app
 * @param {import("./logs.js").Logger} logger
 */
export function prepare(app, logger) {
  app.disable("x-powered-by").disable("etag").enable("strict routing").enable("case sensitive routing");

  // Express would add a charset, which JSON has none of (RFC 8259, 11).
  app.response.json = function json(content) {
    const body = Buffer.from(JSON.stringify(content));
    this.writeHead(this.statusCode, { "Content-Type": "application/json", "Content-Length": body.length });
    this.end(body);
    const { method, path } = this.req;
    const { started, failure } = this.locals;
    logger.access(method, unescape(path), this.statusCode, started, this.req.get("x-request-id"), failure);
    return this;
  };

  app.use((request, response, next) => {
    response.locals.started = performance.now();
    next();
  });
  get(app, "/healthz", (request, response) => response.json({ status: "ok" }));
}

/**
 * Answer GET on a path; every other method on it is 405.
 *
 * @param {import("express").Express} app
 * @param {string} path
 * @param {import("express").RequestHandler} handler
 */
export function get(app, path, handler) {
  app.route(path).head(notAllowed).get(handler).all(notAllowed);
}

function notAllowed(request, response) {
  response.set("Allow", "GET").status(405).json({ error: "method not allowed" });
}

/**
 * Behind all routes: what is not found, and what went wrong; `onError` sees each error that became an answer.
 *
 * @param {import("express").Express} app
 * @param {import("./logs.js").Logger} logger
 * @param {(error: Error) => void} onError
 */
export function answerErrors(app, logger, onError) {
  app.use((request, response) => response.status(404).json({ error: "not found" }));

  // Express knows an error handler by its four parameters.
  app.use((error, request, response, next) => {
    onError(error);
    const expected = error instanceof ServiceError;
    if (!expected) logger.log("error", "unexpected error", { exception: error.stack });
    response.locals.failure = expected ? error.message : undefined;
    response.status(expected ? error.status : 500).json({ error: expected ? error.message : "internal error" });
  });
}
