package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"vaultik/internal/atomicfile"
	"vaultik/vault/keys"
)

// recipientItem is a line of the list age_recipients: what is before the recipient, and that.
var recipientItem = regexp.MustCompile(`^([ \t]*-[ \t]+)["']?(age1[0-9a-z]+)["']?[ \t]*(?:#.*)?$`)

// SetRecipients changes age_recipients in the file of a configuration, and nothing else there.
// Where the file is written in a way that this does not know, the error says so, and the file
// stays as it is.
func (c *Config) SetRecipients(want keys.Recipients) error {
	file, err := filepath.EvalSymlinks(c.File)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := editRecipients(string(data), want.Strings())
	now, err := Parse(c.File, []byte(text))
	if err == nil {
		err = c.sameBut(now, want)
	}
	if err != nil {
		return &Error{File: c.File, Msg: "age_recipients could not be changed", Err: ErrInvalid,
			Hint: "change that list in an editor, then: vaultik recipient sign --kit FILE"}
	}
	mode := os.FileMode(0o600)
	if st, err := os.Stat(file); err == nil {
		mode = st.Mode().Perm()
	}
	if err := atomicfile.WriteFile(file, []byte(text), mode); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// sameBut fails unless now says what c says, apart from its recipients, which are want.
func (c *Config) sameBut(now *Config, want keys.Recipients) error {
	a, b := *c, *now
	a.Recipients, b.Recipients, a.Warnings, b.Warnings = want, want, nil, nil
	if !slices.Equal(now.Recipients.Strings(), want.Strings()) || !reflect.DeepEqual(a, b) {
		return ErrInvalid
	}
	return nil
}

// editRecipients drops lines of recipients that are not wanted, and adds one for each that is
// missing behind the last.
func editRecipients(text string, want []string) string {
	lines := strings.SplitAfter(text, "\n")
	at := slices.IndexFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "age_recipients:")
	})
	if at < 0 {
		return text
	}
	out := slices.Clone(lines[:at+1])
	before, have, last := "  - ", map[string]bool{}, at+1
	rest := lines[at+1:]
	for len(rest) > 0 {
		line := strings.TrimRight(rest[0], "\r\n")
		item := recipientItem.FindStringSubmatch(line)
		if item == nil && strings.TrimSpace(line) != "" && strings.TrimSpace(line)[0] != '#' {
			break
		}
		switch {
		case item == nil:
			out = append(out, rest[0])
		case slices.Contains(want, item[2]) && !have[item[2]]:
			before, have[item[2]] = item[1], true
			out = append(out, rest[0])
			last = len(out)
		}
		rest = rest[1:]
	}
	var added []string
	for _, r := range want {
		if !have[r] {
			added = append(added, before+r+"\n")
		}
	}
	return strings.Join(slices.Concat(out[:last], added, out[last:], rest), "")
}
