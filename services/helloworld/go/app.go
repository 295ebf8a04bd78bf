// Package helloworld answers where it runs and what time it is.
//
// This is the behaviour of both forms. plain runs it as it is, otel adds OpenTelemetry around it.
package helloworld

import (
	"fmt"
	"net/http"
	"runtime"
	"time"

	"meshtrail/services/common/go/web"
)

// App returns the service. It calls nobody, so it has nothing to forward.
func App() *web.App {
	app := web.New()
	app.Get("/readyz", func(w http.ResponseWriter, _ *http.Request) error {
		return web.JSON(w, http.StatusOK, web.Status{Status: "ready"})
	})
	app.Get("/", func(w http.ResponseWriter, _ *http.Request) error {
		return web.Text(w, fmt.Sprintf("hello world, I'm running on %s with an %s CPU", runtime.GOOS, runtime.GOARCH))
	})
	app.Get("/gettime", func(w http.ResponseWriter, _ *http.Request) error {
		return web.Text(w, "The time is "+time.Now().UTC().Format(time.RFC3339))
	})
	return app
}
