package telemetry

import (
	"context"
	"strings"

	sdk "go.opentelemetry.io/otel/propagation"

	"meshtrail/services/common/go/propagation"
)

// switched injects only what the propagation switch lets pass; it extracts everything.
type switched struct {
	sdk.TextMapPropagator
	position *propagation.Switch
}

func (s switched) Inject(ctx context.Context, carrier sdk.TextMapCarrier) {
	headers := sdk.MapCarrier{}
	s.TextMapPropagator.Inject(ctx, headers)
	for name, value := range headers {
		if propagation.Headers.Passes(s.position.Mode(), strings.ToLower(name)) {
			carrier.Set(name, value)
		}
	}
}
