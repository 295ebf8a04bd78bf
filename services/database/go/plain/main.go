// Command plain is database without a tracing SDK. It calls nobody, so it has nothing to forward.
package main

import (
	"meshtrail/services/common/go/serve"
	database "meshtrail/services/database/go"
)

func main() {
	service := serve.Start("database")
	store := serve.Setting(service, database.URL)
	defer store.Close()
	service.Serve(database.App(store, database.NoSpan))
}
