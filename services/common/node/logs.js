// One JSON line on stdout for each thing worth knowing.

// What machines ask all the time, so that it makes neither log lines nor spans.
export const HEALTH_PATHS = new Set(["/health", "/healthz", "/metrics", "/readyz"]);

const LEVELS = ["debug", "info", "warning", "error"];

export class Logger {
  /** What a line carries of the current request, in the otel form its identifiers. @type {() => object} */
  context = () => ({});

  /**
   * @param {string} service
   * @param {string} level
   */
  constructor(service, level) {
    this.service = service;
    this.lowest = LEVELS.indexOf(level);
    // A reader of the logs that went away must not cost a request.
    process.stdout.on("error", () => {});
  }

  /**
   * @param {string} level
   * @param {string} message
   * @param {object} [fields]
   */
  log(level, message, fields) {
    if (LEVELS.indexOf(level) < this.lowest) return;
    const time = new Date().toISOString().replace("Z", "+00:00");
    const line = { time, level, service: this.service, message, ...fields, ...this.context() };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }

  /**
   * Log one answered request, health checks left out.
   * @param {string} method
   * @param {string} path without the query
   * @param {number} status
   * @param {number} started performance.now() at its begin
   * @param {string} [requestId]
   * @param {string} [error]
   */
  access(method, path, status, started, requestId, error) {
    if (HEALTH_PATHS.has(path)) return;
    const fields = { method, path, status, duration_ms: Number((performance.now() - started).toFixed(3)) };
    if (requestId) fields.request_id = requestId;
    if (error) fields.error = error;
    this.log(status >= 500 ? "error" : "info", `${method} ${path} ${status}`, fields);
  }
}
