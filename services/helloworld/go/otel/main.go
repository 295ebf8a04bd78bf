// Command otel is helloworld with OpenTelemetry: one span of the application inside the sidecar's.
package main

import (
	"meshtrail/services/common/go/serve"
	"meshtrail/services/common/go/telemetry"
	helloworld "meshtrail/services/helloworld/go"
)

func main() {
	service := serve.Start("helloworld")
	defer telemetry.Start(service)()
	service.Serve(telemetry.ServerSpans(helloworld.App()))
}
