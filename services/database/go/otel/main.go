// Command otel is database with OpenTelemetry: spans of the application inside the sidecars' trace.
package main

import (
	"meshtrail/services/common/go/serve"
	"meshtrail/services/common/go/telemetry"
	database "meshtrail/services/database/go"
)

func main() {
	service := serve.Start("database")
	store := serve.Setting(service, database.URL)
	defer store.Close()
	defer telemetry.Start(service)()
	service.Serve(telemetry.ServerSpans(database.App(store, sqlSpan)))
}
