package main

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"meshtrail/services/common/go/telemetry"
	database "meshtrail/services/database/go"
)

// sqlSpan opens the span of a SELECT by hand, named and attributed by the stable database conventions.
func sqlSpan(ctx context.Context, store *database.Store) (context.Context, func(error)) {
	attributes := []attribute.KeyValue{
		attribute.String("db.system.name", store.System),
		attribute.String("db.namespace", store.Namespace),
		attribute.String("db.operation.name", "SELECT"),
		attribute.String("db.collection.name", database.Table),
		attribute.String("db.query.text", database.Count),
	}
	if store.Address != "" {
		attributes = append(attributes, attribute.String("server.address", store.Address))
	}
	if store.Port != 0 {
		attributes = append(attributes, attribute.Int("server.port", store.Port))
	}
	kind := trace.WithSpanKind(trace.SpanKindClient)
	ctx, span := otel.Tracer("database").Start(ctx, "SELECT "+database.Table, kind, trace.WithAttributes(attributes...))
	return ctx, func(err error) {
		if err != nil {
			telemetry.RecordError(ctx, err)
		}
		span.End()
	}
}
