package propagation

import (
	"maps"
	"net/http"
	"slices"
	"testing"
)

// No service in Go calls another, so what a Forwarder copies is not seen from outside.
func TestCopy(t *testing.T) {
	incoming := http.Header{
		"X-Request-Id":    {"id"},
		"X-B3-Traceid":    {"1"},
		"X-B3-New":        {"by prefix"},
		"Traceparent":     {"2"},
		"Tracestate":      {"a=1", "", "b=2"},
		"Baggage":         {""},
		"X-Datadog-Tags":  {"by prefix"},
		"Sw8":             {"3"},
		"End-User":        {"jason"},
		"Cookie":          {"secret"},
		"X-Forwarded-For": {"192.0.2.1"},
	}
	for _, test := range []struct {
		name      string
		forwarder Forwarder
		want      map[string]string
	}{
		{"all", Forwarder{Switch: NewSwitch("all")}, map[string]string{
			"X-Request-Id": "id", "X-B3-Traceid": "1", "X-B3-New": "by prefix", "Traceparent": "2",
			"Tracestate": "a=1,b=2", "X-Datadog-Tags": "by prefix", "Sw8": "3",
		}},
		{"b3", Forwarder{Switch: NewSwitch("b3")}, map[string]string{
			"X-Request-Id": "id", "X-B3-Traceid": "1", "X-B3-New": "by prefix",
		}},
		{"w3c", Forwarder{Switch: NewSwitch("w3c")}, map[string]string{
			"X-Request-Id": "id", "Traceparent": "2", "Tracestate": "a=1,b=2",
		}},
		{"none leaves routing alone", Forwarder{Switch: NewSwitch("none"), Routing: []string{"end-user"}},
			map[string]string{"End-User": "jason"}},
		{"what the SDK injects", Forwarder{Switch: NewSwitch("all"), Injected: []string{"b3", "w3c"}},
			map[string]string{"X-Request-Id": "id", "X-Datadog-Tags": "by prefix", "Sw8": "3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			outgoing := http.Header{}
			test.forwarder.Copy(outgoing, incoming)
			got := map[string]string{}
			for name, values := range outgoing {
				if len(values) != 1 {
					t.Errorf("%s is sent %d times", name, len(values))
				}
				got[name] = values[0]
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	if !slices.Equal(incoming["Tracestate"], []string{"a=1", "", "b=2"}) {
		t.Error("the request that came in is changed")
	}
}

func TestModes(t *testing.T) {
	known := slices.Sorted(maps.Keys(Headers.Modes))
	if ours := slices.Sorted(slices.Values(Modes)); !slices.Equal(ours, known) {
		t.Errorf("Modes are %v, headers.json has %v", ours, known)
	}
	position := NewSwitch("w3c")
	if position.Set("zipkin") || position.Mode() != "w3c" {
		t.Error("an unknown mode is taken")
	}
}
