// Package telemetry is OpenTelemetry for the otel form. The plain form never imports it.
//
// The SDK is configured by its standard OTEL_* variables; this package sets our defaults where a variable is absent.
package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"meshtrail/services/common/go/logs"
	"meshtrail/services/common/go/serve"
	"meshtrail/services/common/go/web"
)

const (
	// flushLimit is what waiting for a collector that is down may cost at the end.
	flushLimit = 1200 * time.Millisecond
	// Without a collector the SDK has a complaint for each export.
	complaintInterval = 30 * time.Second
)

// Start sets up the SDK from the environment, and returns what flushes its last spans.
func Start(service *serve.Service) (flush func()) {
	read, err := readOptions(service.Name)
	if err != nil {
		service.Exit(err)
	}
	otel.SetLogger(logr.FromSlogHandler(slog.Default().Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(seldom(complaintInterval)))

	var processors []sdktrace.TracerProviderOption
	if read.export {
		exporter, err := otlptracehttp.New(context.Background(),
			otlptracehttp.WithProxy(noProxy),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
				Enabled:         true,
				InitialInterval: 200 * time.Millisecond,
				MaxInterval:     time.Second,
				MaxElapsedTime:  time.Duration(read.seconds * float64(time.Second)),
			}))
		if err != nil {
			service.Exit(err)
		}
		processors = append(processors, sdktrace.WithBatcher(exporter))
	}
	provider := sdktrace.NewTracerProvider(processors...)
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(switched{read.propagator, service.Switch})
	// The SDK writes these two groups itself; the other tracing headers are copied as in the plain form.
	service.Forward.Injected = []string{"b3", "w3c"}
	logs.Context = traceIDs
	return func() { shutDown(provider) }
}

// ServerSpans makes a server span for each request, health checks left out, and records on it what failed.
func ServerSpans(app *web.App) http.Handler {
	app.OnError = RecordError
	traced := otelhttp.NewHandler(app, "", otelhttp.WithFilter(func(r *http.Request) bool {
		return !logs.IsHealth(r.URL.Path)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = app.Pattern(r.URL.Path) // names the span, and its http.route
		traced.ServeHTTP(w, r)
	})
}

// RecordError records an error on the current span.
func RecordError(ctx context.Context, err error) {
	span := trace.SpanFromContext(ctx)
	span.RecordError(err)
	span.SetStatus(codes.Error, err.Error())
}

// noProxy: nothing comes between a service and its collector.
func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

// traceIDs is what a log line carries of the current span.
func traceIDs(ctx context.Context) []slog.Attr {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return nil
	}
	return []slog.Attr{
		slog.String("trace_id", span.TraceID().String()),
		slog.String("span_id", span.SpanID().String()),
	}
}

// seldom returns an error handler that logs one error in an interval.
func seldom(interval time.Duration) func(error) {
	var mutex sync.Mutex
	var last time.Time
	return func(err error) {
		mutex.Lock()
		defer mutex.Unlock()
		if now := time.Now(); last.IsZero() || now.Sub(last) > interval {
			last = now
			slog.Warn("OpenTelemetry: " + err.Error())
		}
	}
}

// shutDown sends the last spans, but does not wait for a collector that is down.
func shutDown(provider *sdktrace.TracerProvider) {
	ctx, cancel := context.WithTimeout(context.Background(), flushLimit)
	defer cancel()
	if provider.Shutdown(ctx) != nil && ctx.Err() != nil {
		slog.Warn("the collector did not take the last spans within " + flushLimit.String())
	}
}
