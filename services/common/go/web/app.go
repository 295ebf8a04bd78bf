// Package web is what the services have in common over HTTP: routes, health, JSON errors, the access log.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"meshtrail/services/common/go/logs"
)

// Handler answers a request; what it returns instead of an answer becomes {"error": "..."}.
type Handler func(w http.ResponseWriter, r *http.Request) error

// App answers GET on some paths, the same with and without tracing.
type App struct {
	// OnError sees each error that became an answer. The otel form records it on the span.
	OnError func(ctx context.Context, err error)

	routes map[string]Handler
}

// New returns an App that knows /healthz: the process lives.
func New() *App {
	app := &App{OnError: func(context.Context, error) {}, routes: map[string]Handler{}}
	app.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) error {
		return JSON(w, http.StatusOK, Status{"ok"})
	})
	return app
}

// Status is the answer of a health check.
type Status struct {
	Status string `json:"status"`
}

// Get adds a path. It matches as a whole, nothing is redirected.
func (app *App) Get(path string, handler Handler) { app.routes[path] = handler }

// Pattern returns the pattern of the route that answers a path, as http.ServeMux writes it, or "".
func (app *App) Pattern(path string) string {
	if _, known := app.routes[path]; known {
		return "GET " + path
	}
	return ""
}

// ServeHTTP answers, and logs what it answered.
func (app *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, answer := time.Now(), &recorder{ResponseWriter: w, status: http.StatusInternalServerError}
	failure := app.answer(answer, r)
	logs.Access(r, answer.status, began, failure)
}

// answer returns what the caller was told of a failure, for the log.
func (app *App) answer(w http.ResponseWriter, r *http.Request) (failure string) {
	defer func() {
		if defect := recover(); defect != nil {
			slog.ErrorContext(r.Context(), "unexpected error",
				"exception", fmt.Sprintf("%v\n%s", defect, debug.Stack()))
			app.OnError(r.Context(), fmt.Errorf("%v", defect))
			failure = "internal error"
			_ = JSON(w, http.StatusInternalServerError, message{failure})
		}
	}()
	handler, known := app.routes[r.URL.Path]
	if !known {
		_ = JSON(w, http.StatusNotFound, message{"not found"})
		return ""
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		_ = JSON(w, http.StatusMethodNotAllowed, message{"method not allowed"})
		return ""
	}
	err := handler(w, r)
	if err == nil {
		return ""
	}
	app.OnError(r.Context(), err)
	var expected *Error
	if !errors.As(err, &expected) {
		slog.ErrorContext(r.Context(), "unexpected error", "exception", err.Error())
		expected = &Error{Status: http.StatusInternalServerError, Message: "internal error"}
	}
	_ = JSON(w, expected.Status, message{expected.Message})
	return expected.Message
}

// JSON sends a value as JSON, with its length. A caller that went away is no error of the service.
func JSON(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	send(w, status, "application/json", body)
	return nil
}

// Text sends plain text.
func Text(w http.ResponseWriter, body string) error {
	send(w, http.StatusOK, "text/plain; charset=utf-8", []byte(body))
	return nil
}

func send(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// recorder notes the status of the answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
