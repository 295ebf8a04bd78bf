package settings

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// ErrNotAllowed is all that a Parse has to say: Allowed has the words for a person.
var ErrNotAllowed = errors.New("not allowed")

// The kinds of value that the services share.
var (
	Text = Kind[string]{func(value string) (string, error) { return value, nil }, "text"}
	Port = Number(0, 65535, " (0: any free port)")
	// Seconds may have a fraction.
	Seconds = Kind[float64]{seconds, "seconds above 0, at most 3600"}
	HTTPURL = Kind[string]{httpURL, "a URL such as http://name:8080"}
	Names   = Kind[[]string]{names, "names, comma between them"}
	OnOff   = Kind[bool]{onOff, "one of on, off"}
)

// Choice allows some words.
func Choice(values ...string) Kind[string] {
	parse := func(value string) (string, error) {
		if !slices.Contains(values, value) {
			return "", ErrNotAllowed
		}
		return value, nil
	}
	return Kind[string]{parse, "one of " + strings.Join(values, ", ")}
}

// Number allows whole numbers from low to high, of at most nine digits.
func Number(low, high int, note string) Kind[int] {
	parse := func(value string) (int, error) {
		notDigit := func(r rune) bool { return r < '0' || r > '9' }
		if len(value) > 9 || strings.ContainsFunc(value, notDigit) {
			return 0, ErrNotAllowed
		}
		number, err := strconv.Atoi(value)
		if err != nil || number < low || number > high {
			return 0, ErrNotAllowed
		}
		return number, nil
	}
	return Kind[int]{parse, fmt.Sprintf("a number from %d to %d%s", low, high, note)}
}

func seconds(value string) (float64, error) {
	number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || math.IsNaN(number) || number <= 0 || number > 3600 {
		return 0, ErrNotAllowed
	}
	return number, nil
}

func httpURL(value string) (string, error) {
	parts, err := url.Parse(value)
	switch {
	case err != nil, parts.Scheme != "http" && parts.Scheme != "https", parts.Hostname() == "", parts.User != nil:
		return "", ErrNotAllowed
	case parts.RawQuery != "", parts.Fragment != "", strings.ContainsFunc(value, unicode.IsSpace):
		return "", ErrNotAllowed
	}
	if port := parts.Port(); port != "" {
		if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
			return "", ErrNotAllowed
		}
	}
	return strings.TrimRight(value, "/"), nil
}

func names(value string) ([]string, error) {
	var found []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			found = append(found, name)
		}
	}
	return found, nil
}

func onOff(value string) (bool, error) {
	if value != "on" && value != "off" {
		return false, ErrNotAllowed
	}
	return value == "on", nil
}
