package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"vaultik/engine"
	"vaultik/internal/fault"
	"vaultik/internal/words"
)

// maxList bounds a list of paths, in bytes.
const maxList = 256 << 20

// listSource is a set of the lists, together with the paths that were named. Its name,
// not its paths, makes it the same set the next time.
func (c *backupCmd) listSource(o *engine.BackupOptions) error {
	o.Source = engine.FromList
	if err := atHome(c.FilesFrom, c.FilesFrom0); err != nil {
		return err
	}
	stdin := 0
	for i, file := range append(c.FilesFrom[:len(c.FilesFrom):len(c.FilesFrom)], c.FilesFrom0...) {
		end, flag := "\n", "--files-from"
		if i >= len(c.FilesFrom) {
			end, flag = "\x00", "--files-from0"
		}
		if file == "-" {
			if stdin++; stdin > 1 {
				return fault.Misuse("backup", flag+" -: standard input can be only one list")
			}
		}
		list, err := readList(file, end)
		if err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		o.Paths = append(o.Paths, list...)
		if o.Set == "" {
			o.Set = listName(file)
		}
	}
	if len(o.Paths) == 0 {
		return engine.NothingNamed(errors.New("the list is empty"))
	}
	return nil
}

// listName names a set after its list.
func listName(file string) string {
	if abs, err := filepath.Abs(file); err == nil && file != "-" {
		file = abs
	}
	return "list " + file
}

// readList reads the paths in a file. They are taken as they stand there.
func readList(file, end string) ([]string, error) {
	f := os.Stdin
	if file != "-" {
		var err error
		if f, err = os.Open(file); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	b, err := io.ReadAll(io.LimitReader(f, maxList+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxList:
		return nil, fmt.Errorf("%s is larger than %s", file, words.Size(maxList))
	}
	return splitList(file, b, end)
}

// splitList takes a list apart; file is its name.
func splitList(file string, list []byte, end string) (paths []string, err error) {
	if i := bytes.IndexByte(list, 0); i >= 0 && end != "\x00" {
		return nil, &fault.UsageError{Msg: fmt.Sprintf("%s: line %d contains a NUL byte",
			file, 1+bytes.Count(list[:i], []byte("\n"))),
			Advice: "if its paths end in NUL bytes, use --files-from0"}
	}
	for path := range strings.SplitSeq(string(list), end) {
		if path != "" {
			paths = append(paths, path)
		}
	}
	return paths, nil
}
