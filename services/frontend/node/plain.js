// frontend, plain: no tracing SDK. The sidecars make the spans, the copied headers join them.

import { start } from "../../common/node/serve.js";
import { SETTINGS, createApp } from "./app.js";

await start("frontend", SETTINGS, async (service) => {
  const app = createApp(service);
  await service.serve(app);
});
