// Package logs writes one JSON line on standard output for each thing worth knowing.
package logs

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"
)

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warning": slog.LevelWarn, "error": slog.LevelError,
}

// Context returns what a line carries of the current request. The otel form sets it, before the first request.
var Context = func(context.Context) []slog.Attr { return nil }

// Configure makes the default logger write lines of time, level, service, message, then what the line itself has.
func Configure(out io.Writer, service, level string) {
	replace := func(_ []string, attribute slog.Attr) slog.Attr {
		switch value := attribute.Value.Any().(type) {
		case slog.Level:
			return slog.Group("", slog.String("level", name(value)), slog.String("service", service))
		case time.Time:
			return slog.String(attribute.Key, value.UTC().Format("2006-01-02T15:04:05.000-07:00"))
		}
		if attribute.Key == slog.MessageKey {
			attribute.Key = "message"
		}
		return attribute
	}
	options := slog.HandlerOptions{Level: levels[level], ReplaceAttr: replace}
	slog.SetDefault(slog.New(handler{slog.NewJSONHandler(out, &options)}))
}

func name(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "error"
	case level >= slog.LevelWarn:
		return "warning"
	case level >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

// handler adds Context to each line.
type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, record slog.Record) error {
	record.AddAttrs(Context(ctx)...)
	return h.Handler.Handle(ctx, record)
}

// IsHealth tells whether a path is that of a health check: these are neither logged nor traced.
func IsHealth(path string) bool { return path == "/healthz" || path == "/readyz" }

// Access logs one answered request; failure is what an answer of 500 or above says, empty for others.
func Access(r *http.Request, status int, began time.Time, failure string) {
	if IsHealth(r.URL.Path) {
		return
	}
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	milliseconds := float64(time.Since(began)) / float64(time.Millisecond)
	attributes := []slog.Attr{
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.Int("status", status),
		slog.Float64("duration_ms", math.Round(milliseconds*1000)/1000),
	}
	if id := r.Header.Get("X-Request-Id"); id != "" {
		attributes = append(attributes, slog.String("request_id", latin1(id)))
	}
	if failure != "" {
		attributes = append(attributes, slog.String("error", failure))
	}
	message := r.Method + " " + r.URL.Path + " " + strconv.Itoa(status)
	slog.LogAttrs(r.Context(), level, message, attributes...)
}

// latin1 makes text of the bytes of a header, which may be any (RFC 9110, 5.5).
func latin1(value string) string {
	runes := make([]rune, len(value))
	for i := range len(value) {
		runes[i] = rune(value[i])
	}
	return string(runes)
}
