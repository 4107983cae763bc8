package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Errors of this package.
var (
	// ErrMissing: the file is not there. Make it with init, or name another one.
	ErrMissing = errors.New("file does not exist")
	// ErrInvalid: the file is there and cannot be used as it is. Repair it.
	ErrInvalid = errors.New("invalid")
)

// Error is one problem with one file. Hint is a command or an edit that helps the user;
// it may be empty.
type Error struct {
	File string
	Line int // from 1; 0 where it is not known
	Msg  string
	Hint string
	Err  error // ErrMissing, ErrInvalid or what the system said
}

// Error names file, line and reason; secret keys in it are blacked out.
func (e *Error) Error() string {
	if e.Line > 0 {
		return Scrub(fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg))
	}
	return Scrub(fmt.Sprintf("%s: %s", e.File, e.Msg))
}

// Unwrap gives the class of the problem.
func (e *Error) Unwrap() error { return e.Err }

var secretForm = regexp.MustCompile(`(?i)AGE-(SECRET-KEY|PLUGIN)-[0-9A-Z_+.-]+`)

// Scrub blacks out everything in s that has the form of an age secret key.
func Scrub(s string) string {
	if !strings.Contains(strings.ToUpper(s), "AGE-") {
		return s // ten times as quick as the expression
	}
	return secretForm.ReplaceAllString(s, "AGE-$1-[not shown]")
}
