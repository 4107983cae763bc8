package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"

	"golang.org/x/term"

	"vaultik/actors/backup"
	"vaultik/config"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// streamFlags are of backups whose content is in no file.
type streamFlags struct {
	Stdin        bool    `name:"stdin" help:"Back up standard input, as one file."`
	StdinCommand bool    `name:"stdin-command" help:"Run the command that follows -- and back up what it prints, as one file; if it fails, no snapshot is made."`
	StdinName    *string `name:"stdin-name" help:"Path of that file in the snapshot (default: stdin)." placeholder:"NAME"`
}

func (f *streamFlags) streamed() bool { return f.Stdin || f.StdinCommand }

// streamSet is the set of a stream: its name makes it the same set the next time.
func (c *backupCmd) streamSet() ([]backupSet, error) {
	refuse := func(msg string) ([]backupSet, error) { return nil, &usageError{msg: msg, command: "backup"} }
	flag := "--stdin"
	if c.StdinCommand {
		flag = "--stdin-command"
	}
	switch {
	case c.Stdin && c.StdinCommand:
		return refuse("--stdin and --stdin-command are two things: name one of them")
	case c.Stdin && len(c.Path) > 0:
		return refuse("--stdin does not go with paths: what is saved is standard input")
	case c.StdinCommand && len(c.Path) == 0:
		return nil, &usageError{msg: "--stdin-command: no command is named", hint: "name it behind --: vaultik backup --stdin-command --stdin-name db.sql -- pg_dump db"}
	case c.listed():
		return refuse(flag + " does not go with --files-from: what is saved is one stream")
	case c.DryRun:
		return refuse(flag + " does not go with --dry-run: what is read could not be read again")
	case c.given():
		return refuse(flag + " does not go with what leaves out files: nothing of a stream is left out")
	}
	if c.StdinCommand {
		if _, err := exec.LookPath(c.Path[0]); err != nil {
			return nil, fmt.Errorf("--stdin-command: %w", err)
		}
	}
	name := "stdin"
	if c.StdinName != nil {
		name = strings.TrimPrefix(*c.StdinName, "/")
	}
	if err := page.CheckPath(name); err != nil || path.Clean(name) != name || name == "." {
		return refuse(fmt.Sprintf("--stdin-name: %q cannot be the path of a file", *c.StdinName))
	}
	set := backupSet{name: c.Set, source: config.SourceStream, paths: []string{"/" + name}}
	if set.name == "" {
		set.name = "stdin:" + name
	}
	return []backupSet{set}, nil
}

// stream is what comes, as an entry made now by this user; end is called when it
// is not read any more.
func (c *backupCmd) stream(s *session, set *backupSet) (m *backup.Stream, end func(), err error) {
	m = &backup.Stream{Path: strings.TrimPrefix(set.paths[0], "/"), Stat: fs.Stat{Type: page.File, Mode: 0o600,
		UID: uint32(max(0, os.Getuid())), GID: uint32(max(0, os.Getgid())), Mtime: page.TimeOf(time.Now())}}
	if !c.StdinCommand {
		if term.IsTerminal(int(os.Stdin.Fd())) {
			s.out.note("standard input is this terminal; Ctrl-D ends it")
		}
		m.Source = os.Stdin
		return m, func() {}, nil
	}
	cmd, err := newCommand(c.Path, s.out.note)
	if err != nil {
		return nil, nil, err
	}
	m.Source = cmd
	return m, cmd.end, nil
}

// emptyStream: nothing came.
type emptyStream struct {
	command bool
	err     error
}

func (e *emptyStream) Error() string {
	if e.command {
		return "the command succeeded, but wrote nothing to its standard output: no snapshot is made"
	}
	return "nothing came from standard input: no snapshot is made"
}

func (e *emptyStream) Unwrap() error { return e.err }

// hint says how to notice a failing program.
func (e *emptyStream) hint() string {
	if e.command {
		return ""
	}
	return "have vaultik run the program, so that it sees whether that fails: vaultik backup --stdin-command --stdin-name NAME -- PROGRAM"
}
