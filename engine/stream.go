package engine

import (
	"os"
	"strings"
	"time"

	"vaultik/actors/backup"
	"vaultik/internal/fault"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// stream adds what comes to the spec, as an entry made now by this user; end is called
// when it is not read any more.
func (b *backupJob) stream(set *backupSet, spec *backup.Spec) (end func(), err error) {
	m := &backup.Stream{Path: strings.TrimPrefix(set.paths[0], "/"),
		Stat: fs.Stat{Type: page.File, Mode: 0o600,
			UID: uint32(max(0, os.Getuid())), GID: uint32(max(0, os.Getgid())),
			Mtime: page.TimeOf(time.Now())}}
	spec.Stream = m
	from := b.o.Stream
	if len(from.Command) == 0 {
		m.Source = from.Reader
		return func() {}, nil
	}
	cmd, err := newCommand(from.Command, from.Reader, b.Note)
	if err != nil {
		return nil, err
	}
	m.Source = cmd
	return cmd.end, nil
}

// emptyStream: nothing came.
type emptyStream struct {
	command bool
	err     error
}

func (e *emptyStream) Error() string {
	if e.command {
		return "the command succeeded but printed nothing: no snapshot made"
	}
	return "standard input was empty: no snapshot made"
}

func (e *emptyStream) Unwrap() error  { return e.err }
func (*emptyStream) Exit() fault.Code { return fault.Failed }

// Hint says how to notice a failing program.
func (e *emptyStream) Hint() string {
	if e.command {
		return ""
	}
	return "let vaultik run the program, so that a failure is noticed: " +
		"vaultik backup --stdin-command --stdin-name NAME -- PROGRAM"
}
