package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"vaultik/internal/atomicfile"
)

// EnvStateDir names the directory of the state files. It wins over state_dir in the
// configuration.
const EnvStateDir = "VAULTIK_STATE_DIR"

const (
	stateDirKey  = "state_dir"
	indexPathKey = "index_path"
)

// stateDir is the directory of the state files for a configuration: where it is named, else
// beside it; elsewhere says that it was named. It never depends on what can be written: a
// machine whose configuration is read-only for a day must not forget for that day which host
// it is and what it has seen. usual is where the index is as long as nothing names a place.
func stateDir(file, usual string) (dir string, elsewhere bool, err error) {
	beside := filepath.Dir(file)
	if dir = os.Getenv(EnvStateDir); dir != "" {
		dir, err = filepath.Abs(dir)
	} else {
		data, _ := os.ReadFile(file) // whoever needs the configuration says what is wrong with it
		dir, err = stateDirIn(file, data)
	}
	if err != nil || dir == "" || dir == beside {
		return beside, false, err
	}
	// Without its state this would be another host, which has seen nothing.
	if host := NewState(beside).HostFile(); isFile(host) && !isFile(NewState(dir).HostFile()) {
		return "", false, &Error{File: dir, Err: ErrInvalid,
			Msg:  "the state of this host is to be here, but is still beside the configuration",
			Hint: "move it: " + NewState(beside).moveTo(dir, indexToMove(file, usual, dir))}
	}
	return dir, true, nil
}

// indexToMove is the index that has to move with the state files, since it is looked for
// beside them from then on: a new one costs a full read. "" if there is none, or if it has a
// place of its own.
func indexToMove(file, usual, dir string) string {
	data, _ := os.ReadFile(file)
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, []byte(indexPathKey+":")) {
			return ""
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, indexDir)); err == nil || !isDir(usual) ||
		os.Getenv(envIndexPath) != "" {
		return ""
	}
	return usual
}

// moveTo is the command that moves the state files, and the index if it is not "", to another
// directory. The index goes first: the command is told until host.json has moved.
func (s State) moveTo(dir, index string) string {
	words := "mkdir -p " + Quote(dir)
	if index != "" {
		words += " && mv -T " + Quote(index) + " " + Quote(filepath.Join(dir, indexDir))
	}
	words += " && mv"
	for _, name := range stateFiles() {
		if isFile(s.Path(name)) {
			words += " " + Quote(s.Path(name))
		}
	}
	return words + " " + Quote(dir)
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// stateDirIn is state_dir in a configuration, "" where it says nothing. It has to be known
// before the configuration is read, and where the rest of that is broken: that is why it
// stands in a line of its own.
func stateDirIn(file string, data []byte) (string, error) {
	number := 0
	for line := range bytes.Lines(bytes.TrimPrefix(data, byteOrderMark)) {
		if number++; !bytes.HasPrefix(line, []byte(stateDirKey+":")) {
			continue
		}
		l := &loader{file: file, cfg: Default(), firstLine: number}
		if err := l.document(line); err != nil {
			return "", err
		}
		return l.cfg.StateDir, nil
	}
	return "", nil
}

// TryWrite makes a temporary file among the state files, syncs and removes it. The
// directory is not made.
func (s State) TryWrite() error {
	d, err := atomicfile.OpenDir(s.dir, nil)
	if err != nil {
		return err
	}
	defer d.Close()
	t, err := d.CreateTemp(0o600)
	if err != nil {
		return s.unwritable(err)
	}
	defer t.Abort()
	if _, err := t.Write([]byte("x")); err != nil {
		return s.unwritable(err)
	}
	_, err = t.Flush()
	return s.unwritable(err)
}

// unwritable is an error of the directory of the state files, with the way out.
func (s State) unwritable(err error) error {
	if err == nil {
		return nil
	}
	var hint string
	switch elsewhere := "keep the state elsewhere: export " + EnvStateDir +
		"=DIR (or state_dir: in the configuration)"; {
	case errors.Is(err, syscall.ENOLCK):
		hint = "its file system has no locks (NFS without its lock service, say); " + elsewhere
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		hint = "make " + Quote(s.dir) + " writable for this user, or " + elsewhere
	default:
		return err
	}
	return &Error{File: s.dir, Msg: "the state of this host cannot be written: " + err.Error(),
		Hint: hint, Err: err}
}
