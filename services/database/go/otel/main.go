// Command otel is database with OpenTelemetry: spans of the application inside the sidecars' trace.
package main

import (
	"meshtrail/services/common/go/serve"
	"meshtrail/services/common/go/telemetry"
	database "meshtrail/services/database/go"
)

func main() {
	service := serve.Start("database")
	defer telemetry.Start(service)()
	store := serve.Setting(service, database.URL)
	defer store.Close()
	service.Serve(telemetry.ServerSpans(database.App(store, sqlSpan)))
}
