package fault

import "strings"

// Text is what an error says, in one line: errors.Join puts each of its errors on a line of
// its own, and a line break would be shown as \n. Line breaks in names stay as they are.
func Text(err error) string {
	text := err.Error()
	switch e := err.(type) { //nolint:errorlint // this is a walk through the causes itself
	case interface{ Unwrap() []error }:
		var said, joined []string
		for _, cause := range e.Unwrap() {
			said, joined = append(said, cause.Error()), append(joined, Text(cause))
		}
		if lines := strings.Join(said, "\n"); len(said) > 1 {
			text = strings.Replace(text, lines, strings.Join(joined, "; "), 1)
		}
		for i := range said {
			text = strings.Replace(text, said[i], joined[i], 1)
		}
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			text = strings.Replace(text, cause.Error(), Text(cause), 1)
		}
	}
	return text
}
