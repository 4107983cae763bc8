package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"vaultik/internal/platform"
)

const (
	envIndexPath = "VAULTIK_INDEX_PATH"
	indexDir     = "index" // in the directory of the state
)

// Places are the paths of one run. All are absolute.
type Places struct {
	Config string // the YAML file
	// Named says by what Config was named, "" where it is the usual one.
	Named string
	State string // directory of the state files: beside Config, unless named otherwise
	Index string // directory of the index, unless the configuration names another
	Store string // directory of the embedded store
	Cache string // directory of what may be deleted at any time
	// IndexForced is set when VAULTIK_INDEX_PATH named Index: it wins over the configuration.
	IndexForced bool

	home string // of the user, as far as it is known
}

// Dir is the directory of the configuration.
func (p Places) Dir() string { return filepath.Dir(p.Config) }

// StateFiles is the directory of the state files, for reading and writing.
func (p Places) StateFiles() State { return State{dir: p.State, home: p.home} }

// CheckHome fails if one of the paths is below a home directory that does not exist: a
// service or sudo may have such a $HOME, and nothing is made there.
func (p Places) CheckHome(paths ...string) error {
	for _, path := range paths {
		if err := checkHome(p.home, path); err != nil {
			return err
		}
	}
	return nil
}

func checkHome(home, path string) error {
	if home == "" || path != home && !strings.HasPrefix(path, strings.TrimSuffix(home, "/")+"/") {
		return nil
	}
	if _, err := os.Stat(home); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return &Error{File: home, Msg: "this home directory does not exist, so nothing is created in it",
		Hint: "set HOME to the directory of the right user, or create it: mkdir " + Quote(home),
		Err:  fs.ErrNotExist}
}

// Kit is where init puts the recovery kit unless told otherwise.
func (p Places) Kit() string { return filepath.Join(p.Dir(), "recovery-kit.txt") }

// FindPlaces works out the places from the --config flag (may be empty), the
// environment and the XDG base directory rules; root is treated like everybody. The
// configuration may name the directory of the state files: reading, if it is not nil, is
// called before that file is read, and done after.
func FindPlaces(flag string, reading func(file string) (done func())) (Places, error) {
	var p Places
	home, homeErr := homeDir()
	if homeErr == nil {
		p.home = home
	}
	base := func(env, rest string) (string, error) {
		// The XDG rules: a relative path in these variables is to be ignored.
		if d := os.Getenv(env); filepath.IsAbs(d) {
			return filepath.Join(d, "vaultik"), nil
		}
		if homeErr != nil {
			return "", fmt.Errorf("find home directory: %w", homeErr)
		}
		return filepath.Join(home, rest, "vaultik"), nil
	}
	var err error
	switch file := flag; {
	case file != "":
		p.Named = "--config"
		p.Config, err = filepath.Abs(file)
	case os.Getenv("VAULTIK_CONFIG") != "":
		p.Named = "VAULTIK_CONFIG"
		p.Config, err = filepath.Abs(os.Getenv("VAULTIK_CONFIG"))
	default:
		var dir string
		dir, err = base("XDG_CONFIG_HOME", ".config")
		p.Config = filepath.Join(dir, "config.yaml")
	}
	if err != nil {
		return p, err
	}
	var elsewhere bool
	if reading != nil {
		defer reading(p.Config)()
	}
	dir, indexErr := base("XDG_STATE_HOME", ".local/state")
	usual := filepath.Join(dir, indexDir)
	if p.State, elsewhere, err = stateDir(p.Config, usual); err != nil {
		return p, err
	}
	if dir := os.Getenv(envIndexPath); dir != "" {
		p.IndexForced = true
		p.Index, err = filepath.Abs(dir)
	} else if elsewhere {
		p.Index = filepath.Join(p.State, indexDir)
	} else {
		p.Index, err = usual, indexErr
	}
	if err != nil {
		return p, err
	}
	dir, err = base("XDG_DATA_HOME", ".local/share")
	p.Store = filepath.Join(dir, "store")
	if err != nil {
		return p, err
	}
	p.Cache, err = base("XDG_CACHE_HOME", ".cache")
	return p, err
}

// IndexDir is the directory of the index for this configuration.
func (p Places) IndexDir(c *Config) string {
	if !p.IndexForced && c != nil && c.IndexPath != "" {
		return c.IndexPath
	}
	return p.Index
}

// homeDir asks $HOME and then the user database, since services often have no $HOME.
func homeDir() (string, error) {
	if h := os.Getenv("HOME"); filepath.IsAbs(h) {
		return h, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(u.HomeDir) {
		return "", errors.New("$HOME is not an absolute path")
	}
	return u.HomeDir, nil
}

// FileURL is the file:// URL of an absolute path.
func FileURL(path string) string {
	return (&url.URL{Scheme: "file", Path: platform.URLPath(filepath.Clean(path))}).String()
}
