package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"

	"golang.org/x/term"

	"vaultik/engine"
	"vaultik/internal/fault"
	"vaultik/vault/page"
)

// streamSource is a set whose content is a stream: its name makes it the same set the
// next time.
func (c *backupCmd) streamSource(s *session, o *engine.BackupOptions) error {
	if err := c.checkStream(); err != nil {
		return err
	}
	name := "stdin"
	if c.StdinName != nil {
		name = strings.TrimPrefix(*c.StdinName, "/")
	}
	if err := page.CheckPath(name); err != nil || path.Clean(name) != name || name == "." {
		return fault.Misuse("backup", fmt.Sprintf("--stdin-name: %q cannot be the path of a file",
			*c.StdinName))
	}
	o.Source, o.Paths, o.Set = engine.FromStream, []string{name}, cmp.Or(c.Set, "stdin:"+name)
	o.Stream = &engine.Stream{Reader: os.Stdin}
	if c.StdinCommand {
		o.Stream.Command = c.Path
	} else if term.IsTerminal(int(os.Stdin.Fd())) {
		o.Stream.Reader = &terminal{File: os.Stdin,
			say: func() { s.out.note("reading standard input from this terminal; Ctrl-D ends it") }}
	}
	return nil
}

// checkStream refuses flags that cannot be combined with a stream.
func (c *backupCmd) checkStream() error {
	refuse := func(msg string) error { return fault.Misuse("backup", msg) }
	flag := "--stdin"
	if c.StdinCommand {
		flag = "--stdin-command"
	}
	switch {
	case c.Stdin && c.StdinCommand:
		return refuse("--stdin and --stdin-command cannot be combined")
	case c.Stdin && len(c.Path) > 0:
		return refuse("--stdin cannot be combined with paths: it saves standard input")
	case c.StdinCommand && len(c.Path) == 0:
		return &fault.UsageError{Msg: "--stdin-command needs a command",
			Advice: "put it after --: " +
				"vaultik backup --stdin-command --stdin-name db.sql -- pg_dump db"}
	case c.listed():
		return refuse(flag + " cannot be combined with --files-from: it saves one stream")
	case c.DryRun:
		return refuse(flag + " cannot be combined with --dry-run: a stream cannot be read twice")
	case c.ForceRead:
		return refuse(flag + " cannot be combined with --force-read: a stream is always read")
	case c.given():
		return refuse(flag +
			" cannot be combined with options that exclude files: a stream is saved whole")
	}
	if c.StdinCommand {
		if _, err := exec.LookPath(c.Path[0]); err != nil {
			return fmt.Errorf("--stdin-command: %w", err)
		}
	}
	return nil
}

// terminal is standard input that somebody types; say tells them so at the first read.
type terminal struct {
	*os.File
	say func()
}

func (t *terminal) Read(p []byte) (int, error) {
	if t.say != nil {
		t.say()
		t.say = nil
	}
	return t.File.Read(p)
}
