package atomicfile

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"vaultik/internal/platform"
)

// TempPrefix starts the name of every temporary file. The leading dot keeps them
// apart from objects, whose names start with a letter or digit.
const TempPrefix = ".vtmp-"

// staleAge is how long a temporary file of another machine, or of an earlier
// start of this one, is left alone: its writer may live where our locks do not
// reach, but nothing takes a day to write one file.
const staleAge = 24 * time.Hour

var (
	// ErrNotRegular says that a name is no regular file.
	ErrNotRegular = errors.New("not a regular file")
	// ErrSymlink says that there is a symlink where none is followed.
	ErrSymlink = errors.New("is a symlink, and none is followed here")
	// ErrNoExclusive says that the file system can neither link nor rename
	// without replacing, so nothing can be created only if absent.
	ErrNoExclusive = errors.New("file system cannot create a name only if it is absent")
)

// machine returns a short name of this start of this machine; of this process
// alone if the system does not tell.
var machine = sync.OnceValue(func() string {
	id := platform.BootID()
	if id == nil {
		return rand.Text()[:8]
	}
	sum := sha256.Sum256(bytes.TrimSpace(id))
	return hex.EncodeToString(sum[:4])
})
