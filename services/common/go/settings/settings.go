// Package settings reads the environment, which is all the configuration there is. A wrong value ends the start with
// one line that names the variable, the value and what is allowed. An empty value counts as unset.
package settings

import (
	"fmt"
	"os"

	"meshtrail/services/common/go/propagation"
)

// Kind says how a value is read and, in words, what is allowed.
type Kind[T any] struct {
	Parse   func(value string) (T, error)
	Allowed string
}

// Variable is one environment variable; Default is text, as in the environment. A Secret is never shown.
type Variable[T any] struct {
	Name, Default string
	Kind          Kind[T]
	Secret        bool
}

// Read returns the value; the error is the one line for the person who starts the service.
func (v Variable[T]) Read() (T, error) {
	text := os.Getenv(v.Name)
	if text == "" {
		text = v.Default
	}
	value, err := v.Kind.Parse(text)
	if err != nil {
		shown := quote(text)
		if v.Secret {
			shown = "(hidden)"
		}
		return value, fmt.Errorf("%s=%s is not allowed, expected %s", v.Name, shown, v.Kind.Allowed)
	}
	return value, nil
}

// Common is what every service understands. The table in docs/services.md says what each is for.
type Common struct {
	Host                string
	Port                int
	LogLevel            string
	Propagation         string
	PropagationControl  bool
	ControlHost         string
	ControlPort         int
	ControlAllowedHosts []string
}

// ReadCommon reads all of Common; the error is that of the first wrong variable.
func ReadCommon() (common Common, err error) {
	read(&err, &common.Host, Variable[string]{Name: "HOST", Default: "127.0.0.1", Kind: Text})
	read(&err, &common.Port, Variable[int]{Name: "PORT", Default: "8080", Kind: Port})
	read(&err, &common.LogLevel,
		Variable[string]{Name: "LOG_LEVEL", Default: "info", Kind: Choice("debug", "info", "warning", "error")})
	read(&err, &common.Propagation,
		Variable[string]{Name: "PROPAGATION", Default: "all", Kind: Choice(propagation.Modes...)})
	read(&err, &common.PropagationControl, Variable[bool]{Name: "PROPAGATION_CONTROL", Default: "off", Kind: OnOff})
	read(&err, &common.ControlHost, Variable[string]{Name: "CONTROL_HOST", Kind: Text})
	read(&err, &common.ControlPort, Variable[int]{Name: "CONTROL_PORT", Default: "8090", Kind: Port})
	read(&err, &common.ControlAllowedHosts, Variable[[]string]{Name: "CONTROL_ALLOWED_HOSTS", Kind: Names})
	return common, err
}

// read fills the target, unless an earlier variable was wrong.
func read[T any](err *error, target *T, variable Variable[T]) {
	if *err == nil {
		*target, *err = variable.Read()
	}
}
