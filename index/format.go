package index

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"vaultik/internal/platform"

	"github.com/zeebo/blake3"
)

// The names in an index directory.
const (
	lockName    = "lock"
	formatName  = "format.json"
	formatTemp  = "format.json.tmp"
	dbName      = "db"
	damagedName = "damaged"
)

// formatVersion grows when an older Vaultik could not read the rows any more.
const formatVersion = 1

// formatDoc is format.json: one line of JSON, then its CRC-32C as 8 hex digits.
type formatDoc struct {
	Format string `json:"format"`
	V      int    `json:"v"`
	Owner  string `json:"owner"` // keyed hash: tells another host's index from a damaged one
}

const formatMagic = "vaultik-index"

// keyed hashes with the index key; what separates uses.
func keyed(key [32]byte, what string) [32]byte {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic("blake3 takes 32-byte keys: " + err.Error())
	}
	_, _ = h.WriteString(what)
	return [32]byte(h.Sum(nil))
}

func owner(key [32]byte) string {
	h := keyed(key, "vaultik index owner")
	return hex.EncodeToString(h[:16])
}

// readFormat reads format.json. fs.ErrNotExist: there is none.
func readFormat(dir string) (doc formatDoc, err error) {
	b, err := os.ReadFile(filepath.Join(dir, formatName))
	if err != nil {
		return doc, fmt.Errorf("read index format: %w", err)
	}
	line, crc, _ := bytes.Cut(b, []byte("\n"))
	if want := fmt.Appendf(nil, "%08x\n", crc32.Checksum(line, castagnoli)); !bytes.Equal(crc, want) {
		return doc, fmt.Errorf("%w: %s has a wrong checksum", ErrDamaged, formatName)
	}
	if err := json.Unmarshal(line, &doc); err != nil || doc.Format != formatMagic {
		return doc, fmt.Errorf("%w: %q belongs to another program", ErrForeign, dir)
	}
	if doc.V != formatVersion {
		return doc, fmt.Errorf("%w: %q has version %d, this program supports %d", ErrNewerFormat, dir, doc.V, formatVersion)
	}
	return doc, nil
}

func writeFormat(dir string, key [32]byte) error {
	line, err := json.Marshal(formatDoc{Format: formatMagic, V: formatVersion, Owner: owner(key)})
	if err != nil {
		return fmt.Errorf("encode index format: %w", err)
	}
	line = fmt.Appendf(line, "\n%08x\n", crc32.Checksum(line, castagnoli))
	temp := filepath.Join(dir, formatTemp)
	if err := os.WriteFile(temp, line, 0o600); err != nil {
		return fmt.Errorf("write index format: %w", typed(err))
	}
	if err := platform.SyncPath(temp); err != nil {
		return typed(err)
	}
	if err := os.Rename(temp, filepath.Join(dir, formatName)); err != nil {
		return fmt.Errorf("write index format: %w", typed(err))
	}
	return platform.SyncPath(dir)
}

// inspect tells what a directory is before anything is changed in it: empty
// (fresh), an index (nil), ErrDamaged, ErrNewerFormat or ErrForeign. A directory is
// damaged only if nothing in it could be somebody else's.
func inspect(dir string) (doc formatDoc, fresh bool, err error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return doc, false, fmt.Errorf("read index directory: %w", err)
	}
	alien, rows := "", false
	for _, e := range names {
		switch e.Name() {
		case dbName:
			rows = true
			if a := alienFile(filepath.Join(dir, dbName)); a != "" {
				alien = filepath.Join(dbName, a)
			}
		case lockName, formatName, formatTemp, damagedName, "lost+found": // the last: a file system of its own
		default:
			alien = e.Name()
		}
	}
	doc, err = readFormat(dir)
	switch {
	case err == nil, errors.Is(err, ErrNewerFormat), errors.Is(err, ErrForeign):
		return doc, false, err
	case alien != "":
		return doc, false, fmt.Errorf("%w: %q holds %q", ErrForeign, dir, alien)
	case !errors.Is(err, fs.ErrNotExist):
		return doc, false, err
	case rows:
		return doc, false, fmt.Errorf("%w: %s is missing", ErrDamaged, formatName)
	}
	return doc, true, nil
}
