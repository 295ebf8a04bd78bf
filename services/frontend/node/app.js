// frontend: answers GET / with what backend says.
//
//     gateway -> frontend -> backend -> database
//
// This is the behaviour of both forms. plain.js runs it as it is, otel.js adds OpenTelemetry around it.

import express from "express";

import { answerErrors, get, ignore, prepare } from "../../common/node/answers.js";
import { COMMON, HTTP_URL, PORT, SECONDS, variable } from "../../common/node/settings.js";
import { Upstream } from "../../common/node/upstream.js";

export const SETTINGS = {
  ...COMMON,
  port: variable("PORT", "3000", PORT, "port to listen on"),
  backendUrl: variable("BACKEND_URL", "http://backend:8080", HTTP_URL, "where backend answers"),
  upstreamTimeout: variable("UPSTREAM_TIMEOUT", "5", SECONDS, "how long an upstream may take"),
};

/**
 * @param {import("../../common/node/serve.js").Service} service
 * @param {(error: Error) => void} onError
 */
export function createApp({ settings, forward, logger }, onError = ignore) {
  const app = express();
  const backend = new Upstream("backend", settings.backendUrl, settings.upstreamTimeout);
  // VirtualServices may route on it, further inside the mesh too.
  forward.routing = new Set(["end-user"]);
  prepare(app, logger);

  // Ready says nothing of backend: a probe that asks upstreams takes the whole chain down with one service.
  get(app, "/readyz", (request, response) => response.json({ status: "ready" }));

  get(app, "/", async (request, response) => {
    // The line that keeps the trace together: copy the tracing headers to the next request.
    const answer = await backend.get("/api/data", forward.headers(request));
    response.json({ message: "Frontend response", backend_data: answer });
  });

  answerErrors(app, logger, onError);
  return app;
}
