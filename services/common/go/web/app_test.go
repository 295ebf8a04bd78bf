package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"meshtrail/services/common/go/logs"
)

// No service has a defect on purpose, so what the caller and the log get of one is not seen from outside.
func TestDefects(t *testing.T) {
	for name, handler := range map[string]Handler{
		"panic": func(http.ResponseWriter, *http.Request) error { panic("secret of the service") },
		"error": func(http.ResponseWriter, *http.Request) error { return errors.New("secret of the service") },
	} {
		t.Run(name, func(t *testing.T) {
			var lines bytes.Buffer
			logs.Configure(&lines, "test", "info")
			var recorded error
			app := New()
			app.OnError = func(_ context.Context, err error) { recorded = err }
			app.Get("/", handler)
			answer := httptest.NewRecorder()
			app.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
			if answer.Code != http.StatusInternalServerError || answer.Body.String() != `{"error":"internal error"}` {
				t.Errorf("the caller gets %d %s", answer.Code, answer.Body)
			}
			if recorded == nil {
				t.Error("OnError was not told")
			}
			defect, access, _ := strings.Cut(lines.String(), "\n")
			if !strings.Contains(defect, "secret of the service") || !strings.Contains(access, `"error":"internal error"`) {
				t.Errorf("the log has %s", lines.String())
			}
		})
	}
}
