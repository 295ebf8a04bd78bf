package settings

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quote shows a value on one line, in single quotes, as the services in other languages do: 'http', 'a\nb'.
func quote(value string) string {
	mark := "'"
	if strings.Contains(value, "'") && !strings.Contains(value, `"`) {
		mark = `"`
	}
	var shown strings.Builder
	for rest := value; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		shown.WriteString(character(r, rest[:size], mark))
		rest = rest[size:]
	}
	return mark + shown.String() + mark
}

func character(r rune, text, mark string) string {
	switch {
	case text == mark, text == `\`:
		return `\` + text
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r == utf8.RuneError && len(text) == 1: // a byte that is not UTF-8
		return fmt.Sprintf(`\udc%02x`, text[0])
	case unicode.IsPrint(r):
		return text
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
