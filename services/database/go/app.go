// Package database answers GET /query with the number of rows in a real table.
//
// This is the behaviour of both forms. plain runs it as it is, otel adds OpenTelemetry around it.
package database

import (
	"context"
	"net/http"

	"meshtrail/services/common/go/web"
)

// Span opens a span around the query of a store, and returns what ends it. The plain form has none.
type Span func(ctx context.Context, store *Store) (context.Context, func(error))

type answer struct {
	Message string `json:"message"`
	Records int    `json:"records"`
}

// App returns the service.
func App(store *Store, span Span) *web.App {
	app := web.New()
	app.Get("/readyz", func(w http.ResponseWriter, r *http.Request) error {
		if _, err := store.Count(r.Context()); err != nil {
			return err
		}
		return web.JSON(w, http.StatusOK, web.Status{Status: "ready"})
	})
	app.Get("/query", func(w http.ResponseWriter, r *http.Request) error {
		ctx, end := span(r.Context(), store)
		records, err := store.Count(ctx)
		end(err)
		if err != nil {
			return err
		}
		return web.JSON(w, http.StatusOK, answer{"Data from database", records})
	})
	return app
}

// NoSpan is the Span of the plain form.
func NoSpan(ctx context.Context, _ *Store) (context.Context, func(error)) { return ctx, func(error) {} }
