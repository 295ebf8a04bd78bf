package telemetry

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"meshtrail/services/common/go/propagation"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
)

func propagator(t *testing.T, names, mode string) switched {
	t.Helper()
	chosen, err := propagators(names)
	if err != nil {
		t.Fatal(err)
	}
	return switched{chosen, propagation.NewSwitch(mode)}
}

// No service in Go calls another, so what the SDK injects is not seen from outside.
func TestInject(t *testing.T) {
	incoming := sdk.MapCarrier{"traceparent": "00-" + traceID + "-" + spanID + "-01", "baggage": "tier=gold"}
	ctx := propagator(t, "tracecontext,baggage", "all").Extract(context.Background(), incoming)
	for _, test := range []struct{ names, mode, want string }{
		{"b3multi,tracecontext,baggage", "all", "baggage traceparent x-b3-sampled x-b3-spanid x-b3-traceid"},
		{"b3multi,tracecontext,baggage", "b3", "x-b3-sampled x-b3-spanid x-b3-traceid"},
		{"b3multi,tracecontext,baggage", "w3c", "baggage traceparent"},
		{"b3multi,tracecontext,baggage", "none", ""},
		{"b3", "all", "b3"},
		{"tracecontext", "b3", ""},
		{"none", "all", ""},
	} {
		outgoing := sdk.MapCarrier{}
		propagator(t, test.names, test.mode).Inject(ctx, outgoing)
		if got := strings.Join(slices.Sorted(maps.Keys(outgoing)), " "); got != test.want {
			t.Errorf("%s in mode %s injects %q, want %q", test.names, test.mode, got, test.want)
		}
	}
}

func TestLastListedWins(t *testing.T) {
	other := strings.Repeat("1", 32)
	incoming := sdk.MapCarrier{
		"traceparent":  "00-" + traceID + "-" + spanID + "-01",
		"x-b3-traceid": other, "x-b3-spanid": spanID, "x-b3-sampled": "1",
	}
	for names, want := range map[string]string{"b3multi,tracecontext": traceID, "tracecontext,b3multi": other} {
		ctx := propagator(t, names, "none").Extract(context.Background(), incoming)
		if got := trace.SpanContextFromContext(ctx).TraceID().String(); got != want {
			t.Errorf("%s takes %s, want %s", names, got, want)
		}
	}
}
