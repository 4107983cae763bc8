package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"

	"vaultik/internal/atomicfile"
	"vaultik/internal/platform"
	"vaultik/internal/words"
	"vaultik/vault/snapshot"
)

// stateFiles names all files in the directory.
func stateFiles() []string {
	return []string{hostFile, setsFile, seenFile, knownFile, stateLock, lockFile}
}

// stateLock is held while one of the files is changed.
const stateLock = "state.lock"

// stateVersion is written into every state file; a higher one is of a newer program.
const stateVersion = 1

// State is the directory with the state files. Its methods may be called from
// many goroutines and processes.
type State struct {
	dir  string
	home string // not made where it is missing, "" for none
}

// NewState names the directory; it need not exist before the first write.
func NewState(dir string) State { return State{dir: dir} }

// Path is the full path of a state file.
func (s State) Path(name string) string { return filepath.Join(s.dir, name) }

// load reads one state file into v. A missing file is fs.ErrNotExist, as it is.
func (s State) load(name, hint string, v any) error {
	file := s.Path(name)
	broken := func(format string, args ...any) error {
		return &Error{File: file, Msg: fmt.Sprintf(format, args...), Hint: hint, Err: ErrInvalid}
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fs.ErrNotExist
	}
	if err != nil {
		return &Error{File: file, Msg: "cannot be read: " + reason(err), Err: err,
			Hint: "look at its owner and mode with: ls -l " + Quote(file)}
	}
	var head struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return broken("is broken: %s", jsonReason(data, err))
	}
	if head.V < 1 || head.V > stateVersion {
		return &Error{File: file, Err: ErrInvalid,
			Msg:  fmt.Sprintf("has version %d, this program supports %d", head.V, stateVersion),
			Hint: "see which version this is: vaultik version"}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields() // they would be lost when the file is written again
	if err := d.Decode(v); err != nil {
		return broken("is broken: %s", jsonReason(data, err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return broken("is broken: there is more after its end")
	}
	return nil
}

// jsonReason says where JSON is malformed without quoting it: it may contain secrets.
func jsonReason(data []byte, err error) string {
	var syn *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return "it is empty"
	case errors.As(err, &syn):
		return fmt.Sprintf("not JSON at byte %d", syn.Offset)
	case errors.As(err, &typ):
		return fmt.Sprintf("field %q has the wrong type", typ.Field)
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		return strings.TrimPrefix(err.Error(), "json: ")
	default:
		return "a field has a value of the wrong form"
	}
}

// save replaces one state file; the directory is made when missing.
func (s State) save(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	if err := s.makeDir(); err != nil {
		return err
	}
	if err := atomicfile.WriteFile(s.Path(name), append(data, '\n'), 0o600); err != nil {
		return s.unwritable(fmt.Errorf("write %s: %w", s.Path(name), err))
	}
	return nil
}

// makeDir makes the directory, but never the home that it is in.
func (s State) makeDir() error {
	if err := checkHome(s.home, s.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return s.unwritable(err)
	}
	return nil
}

// locked runs fn while no other process changes state files.
func (s State) locked(fn func() error) error {
	f, err := s.openLock(stateLock)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := platform.Lock(f, false, true); err != nil {
		return s.unwritable(fmt.Errorf("lock %s: %w", f.Name(), err))
	}
	return fn() // closing the file releases the lock
}

// Exposed lists the files of the directory that users other than their owner may read
// or write; each should get mode 0600. On Windows a file has the rights that its
// directory hands down, and modes say nothing.
func (p Places) Exposed() []string {
	var out []string
	if runtime.GOOS == "windows" {
		return nil
	}
	for _, f := range p.Own() {
		if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o077 != 0 {
			out = append(out, f)
		}
	}
	return out
}

// Own are the configuration and the state files of this program, whether or not they are there.
func (p Places) Own() []string {
	own := []string{p.Config}
	for _, name := range stateFiles() {
		own = append(own, p.StateFiles().Path(name))
	}
	return append(own, p.Kit())
}

// HostFiles lists the files that make this machine the host that it is. Without them
// init makes it another host.
func (p Places) HostFiles() []string {
	var out []string
	s := p.StateFiles()
	for _, f := range []string{p.Config, s.Path(hostFile), s.Path(setsFile), p.Kit()} {
		if _, err := os.Lstat(f); err == nil {
			out = append(out, f)
		}
	}
	return out
}

// Text is a name or path of any bytes, as the heads of a store have it in JSON.
type Text = snapshot.Text

// reason is the bare cause of a file system error, without operation and path.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// Quote makes a word safe to paste into a POSIX shell. Bytes that a terminal does not show
// are written as in $'\377'.
func Quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	if words.Printable(s) != s {
		return quoteBytes(s)
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func quoteBytes(s string) string {
	var b strings.Builder
	b.WriteString("$'")
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '\'' || r == '\\':
			b.WriteString(`\` + s[:n])
		case words.Printable(s[:n]) == s[:n]:
			b.WriteString(s[:n])
		default:
			for i := range n {
				fmt.Fprintf(&b, `\%03o`, s[i])
			}
		}
		s = s[n:]
	}
	return b.String() + "'"
}
