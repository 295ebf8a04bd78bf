package telemetry

import (
	"math"
	"os"
	"strconv"
	"strings"

	"go.opentelemetry.io/contrib/propagators/b3"
	"go.opentelemetry.io/otel/propagation"

	"meshtrail/services/common/go/settings"
)

// options are the OTEL_* variables for which this application has a default of its own; the SDK reads all others too.
type options struct {
	propagator propagation.TextMapPropagator
	seconds    float64 // that one export may take
	export     bool
}

// readOptions checks the variables and hands them, with our defaults, to the SDK, which reads the environment by
// itself.
func readOptions(service string) (read options, err error) {
	for _, entry := range []struct {
		name, value string
		kind        settings.Kind[string]
	}{
		{"OTEL_SERVICE_NAME", service, settings.Text},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", settings.HTTPURL},
		{"OTEL_TRACES_EXPORTER", "otlp", settings.Choice("otlp", "none")},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "2", text(settings.Seconds)},
		{"OTEL_BSP_SCHEDULE_DELAY", "200", text(settings.Number(1, 60_000, " (milliseconds)"))},
		{"OTEL_PROPAGATORS", "b3multi,tracecontext,baggage", text(propagatorNames)},
		{"OTEL_TRACES_SAMPLER", "parentbased_always_on", sampler},
	} {
		value, err := settings.Variable[string]{Name: entry.name, Default: entry.value, Kind: entry.kind}.Read()
		if err != nil {
			return read, err
		}
		if err := os.Setenv(entry.name, value); err != nil {
			return read, err
		}
	}
	read.export = os.Getenv("OTEL_TRACES_EXPORTER") == "otlp"
	read.propagator, _ = propagators(os.Getenv("OTEL_PROPAGATORS"))
	read.seconds, _ = settings.Seconds.Parse(os.Getenv("OTEL_EXPORTER_OTLP_TIMEOUT"))
	// In seconds as in every language here; the Go SDK counts this variable in milliseconds.
	milliseconds := strconv.FormatFloat(math.Ceil(read.seconds*1000), 'f', 0, 64)
	return read, os.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", milliseconds)
}

// text is a kind that checks a value and leaves it as it is written.
func text[T any](kind settings.Kind[T]) settings.Kind[string] {
	parse := func(value string) (string, error) {
		_, err := kind.Parse(value)
		return value, err
	}
	return settings.Kind[string]{Parse: parse, Allowed: kind.Allowed}
}

var (
	propagatorNames = settings.Kind[propagation.TextMapPropagator]{
		Parse:   propagators,
		Allowed: "none, or some of tracecontext, baggage, b3, b3multi with comma between them",
	}
	sampler = settings.Choice("always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")
)

// propagators returns the formats that a list names; of those that arrive the last listed wins.
func propagators(value string) (propagation.TextMapPropagator, error) {
	if strings.TrimSpace(value) == "none" {
		return propagation.NewCompositeTextMapPropagator(), nil
	}
	var chosen []propagation.TextMapPropagator
	for name := range strings.SplitSeq(value, ",") {
		switch strings.TrimSpace(name) {
		case "tracecontext":
			chosen = append(chosen, propagation.TraceContext{})
		case "baggage":
			chosen = append(chosen, propagation.Baggage{})
		case "b3":
			chosen = append(chosen, b3.New(b3.WithInjectEncoding(b3.B3SingleHeader)))
		case "b3multi":
			chosen = append(chosen, b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader)))
		default:
			return nil, settings.ErrNotAllowed
		}
	}
	return propagation.NewCompositeTextMapPropagator(chosen...), nil
}
