// frontend, otel: OpenTelemetry spans of the application inside the sidecars' trace.

import { start } from "../../common/node/serve.js";
import { SETTINGS, createApp } from "./app.js";
import { recordError, tracing } from "./telemetry.js";

await start("frontend", SETTINGS, async (service) => {
  tracing(service);
  const app = createApp(service, recordError);
  await service.serve(app);
});
