package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// What Badger calls its files.
const (
	tableExt     = ".sst"
	logExt       = ".mem"
	valueLogExt  = ".vlog"
	manifestName = badger.ManifestFilename
	registryName = badger.KeyRegistryFileName
	discardName  = "DISCARD"
)

var (
	numbered = regexp.MustCompile(`^[0-9]{1,10}\.(sst|mem|vlog)$`)
	fixed    = map[string]bool{
		manifestName: true, registryName: true, discardName: true,
		"LOCK": true, "MANIFEST-REWRITE": true, badger.KeyRegistryRewriteFileName: true,
	}
)

// alienFile returns a file that does not belong to Badger, or "".
func alienFile(db string) string {
	names, err := os.ReadDir(db)
	if err != nil {
		return "" // a reason of its own will be found when it is read
	}
	for _, e := range names {
		if !fixed[e.Name()] && !numbered.MatchString(e.Name()) {
			return e.Name()
		}
	}
	return ""
}

// verifyDir reads every file of a Badger directory, without a change to any,
// and returns the bytes of its tables. Badger itself maps the files, ends
// the process over some kinds of damage and leaves out tables, with the deletions in
// them, over others; so nothing that this finds may reach it.
func verifyDir(db string) (tables int64, err error) {
	defer func() {
		if r := recover(); r != nil {
			tables, err = 0, fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	names, err := os.ReadDir(db)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read index: %w", err)
	}
	sizes := make(map[string]int64)
	for _, e := range names {
		fi, err := e.Info()
		if err != nil {
			return 0, fmt.Errorf("read index: %w", err)
		}
		if !fixed[e.Name()] && !numbered.MatchString(e.Name()) || !fi.Mode().IsRegular() {
			return 0, fmt.Errorf("%w: %q does not belong there", ErrDamaged, e.Name())
		}
		sizes[e.Name()] = fi.Size()
	}
	live, err := verifyManifest(db, sizes)
	if err != nil {
		return 0, err
	}
	if err := verifyRegistry(db, sizes); err != nil {
		return 0, err
	}
	buf := make([]byte, 0, 1<<20)
	for id := range live {
		name := fmt.Sprintf("%06d%s", id, tableExt)
		size, ok := sizes[name]
		if !ok {
			return 0, fmt.Errorf("%w: table %s is missing", ErrDamaged, name)
		}
		if buf, err = verifyTable(filepath.Join(db, name), size, buf); err != nil {
			return 0, err
		}
		tables += size
	}
	for name, size := range sizes {
		if strings.HasSuffix(name, logExt) {
			if _, err := logEnd(filepath.Join(db, name), size); err != nil {
				return 0, err
			}
		}
	}
	return tables, nil
}

// verifyManifest returns the tables that the manifest names.
func verifyManifest(db string, sizes map[string]int64) (map[uint64]badger.TableManifest, error) {
	if _, ok := sizes[manifestName]; !ok {
		for name := range sizes {
			if ext := filepath.Ext(name); ext == tableExt || ext == logExt {
				return nil, fmt.Errorf("%w: %s is missing", ErrDamaged, manifestName)
			}
		}
		return nil, nil
	}
	f, err := os.Open(filepath.Join(db, manifestName))
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	defer func() { _ = f.Close() }()
	// Badger takes a manifest that it cannot read for a bad one.
	if _, err = io.Copy(io.Discard, f); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, unreadable(err, manifestName)
	}
	m, _, err := badger.ReplayManifestFile(f, externalMagic, badger.DefaultOptions(db).WithLogger(nil))
	if err != nil {
		return nil, unreadable(err, manifestName)
	}
	for id, t := range m.Tables {
		if t.KeyID != 0 || t.Compression != 0 || t.Level >= 7 {
			return nil, fmt.Errorf("%w: table %d is of an unknown kind", ErrDamaged, id)
		}
	}
	return m.Tables, nil
}

// registryText follows 16 random bytes; more would be keys, and there are none.
const registryText = "Hello Badger"

func verifyRegistry(db string, sizes map[string]int64) error {
	if _, ok := sizes[registryName]; !ok {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(db, registryName))
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	if len(b) != 16+len(registryText) || string(b[16:]) != registryText {
		return fmt.Errorf("%w: %s", ErrDamaged, registryName)
	}
	return nil
}

// prepareDir makes the directory, and takes away what carries nothing and could
// stop Badger: files that a crash left empty, value logs (there are no values in
// them), and what follows the last good entry of a log, where a damaged length
// would be believed.
func prepareDir(db string) error {
	if err := os.MkdirAll(db, 0o700); err != nil {
		return fmt.Errorf("make index: %w", typed(err))
	}
	if err := os.Chmod(db, 0o700); err != nil {
		return fmt.Errorf("protect index: %w", err)
	}
	names, err := os.ReadDir(db)
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	for _, e := range names {
		path := filepath.Join(db, e.Name())
		fi, err := e.Info()
		if err != nil {
			return fmt.Errorf("read index: %w", err)
		}
		switch filepath.Ext(e.Name()) {
		case valueLogExt:
			err = os.Remove(path)
		case logExt:
			var end int64
			if end, err = logEnd(path, fi.Size()); err != nil {
				return err
			}
			if end == 0 {
				err = os.Remove(path)
			} else if end < fi.Size() {
				err = os.Truncate(path, end)
			}
		}
		if err != nil {
			return fmt.Errorf("prepare index: %w", err)
		}
	}
	// Badger ends the process when it cannot make this one.
	if err := os.WriteFile(filepath.Join(db, discardName), make([]byte, 4096), 0o600); err != nil {
		return fmt.Errorf("prepare index: %w", typed(err))
	}
	return nil
}

// be32 reads the number that ends b.
func be32(b []byte) int64 { return int64(binary.BigEndian.Uint32(b[len(b)-4:])) }

// protect takes from the files of a directory what others may do with them: Badger leaves that
// to the umask, which may be none.
func protect(db string) error {
	names, err := os.ReadDir(db)
	if err != nil {
		return fmt.Errorf("protect index: %w", err)
	}
	for _, e := range names {
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // Badger drops tables by itself
		}
		if err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o077 != 0 {
			err = os.Chmod(filepath.Join(db, e.Name()), 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("protect index: %w", err)
		}
	}
	return nil
}
